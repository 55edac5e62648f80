package lifecycle

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/sethvargo/go-retry"
)

// startWaits are the waits between attempts to start: the first and the longest.
type startWaits struct {
	reach, reachMost time.Duration // for a server that can't be reached
	mend, mendMost   time.Duration // for a fault that an operator must mend first
}

var defaultStartWaits = startWaits{
	reach: 100 * time.Millisecond, reachMost: 5 * time.Second,
	mend: 5 * time.Second, mendMost: 30 * time.Second,
}

// startBackoff doubles the wait from attempt to attempt, each up to a fifth shorter or
// longer, and begins anew when the kind of trouble changes.
type startBackoff struct {
	waits   startWaits
	mending bool
	backoff retry.Backoff
}

func newStartBackoff(w startWaits) *startBackoff {
	b := &startBackoff{waits: w}
	b.begin(false)
	return b
}

func (b *startBackoff) begin(mending bool) {
	first, most := b.waits.reach, b.waits.reachMost
	if mending {
		first, most = b.waits.mend, b.waits.mendMost
	}
	b.mending = mending
	b.backoff = retry.WithJitterPercent(20, retry.WithCappedDuration(most, retry.NewExponential(first)))
}

// next is the wait after an attempt that failed with err.
func (b *startBackoff) next(err error) time.Duration {
	if mending := !isUnavailable(err) || isTLS(err); mending != b.mending {
		b.begin(mending)
	}
	wait, _ := b.backoff.Next() // the backoff has no end
	return wait
}

// isFinal reports whether an error of BeforeReady is final: a retry is no use.
func isFinal(err error) bool {
	var final interface{ Final() bool }
	return errors.As(err, &final) && final.Final()
}

// isTLS reports whether server and client did not agree on TLS: the server was reached.
func isTLS(err error) bool {
	var (
		alert       tls.AlertError
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
		authority   x509.UnknownAuthorityError
		host        x509.HostnameError
		invalid     x509.CertificateInvalidError
	)
	return errors.As(err, &alert) || errors.As(err, &certificate) || errors.As(err, &record) ||
		errors.As(err, &authority) || errors.As(err, &host) || errors.As(err, &invalid) ||
		err != nil && strings.Contains(err.Error(), "server refused TLS connection")
}

// startTrouble returns, for the log, why the pool did not start.
func startTrouble(err error) string {
	var pgErr *pgconn.PgError
	switch {
	case isTLS(err):
		return "pool can't start: the server was reached, but TLS fails"
	case errors.Is(err, errSize):
		return "pool can't start: the pool is larger than the server allows"
	case errors.As(err, &pgErr):
		return "pool can't start: " + refusal(pgErr.Code)
	case isUnavailable(err):
		return "pool can't reach its server"
	}
	return "pool can't start"
}

// refusal returns why a reachable server refused the start.
func refusal(sqlstate string) string {
	switch sqlstate {
	case "28P01":
		return "the server refuses the password"
	case "28000":
		return "the server refuses the role"
	case "3D000":
		return "the database does not exist"
	case "42501":
		return "the role lacks a right"
	case "53300":
		return "the server has no connection left"
	case "57P01", "57P02":
		return "the server ended the connection"
	case "57P03":
		return "the server takes no connections now"
	case "55P03", "40001", "40P01":
		return "another session's lock is in the way"
	}
	return "the server answers with an error"
}
