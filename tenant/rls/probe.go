package rls

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/agentagency/onepool/tenant"
)

// defaultProbeTimeout limits one probe on the server.
const defaultProbeTimeout = "2s"

// probe is a tenant to ask as, that nobody is. A UUID does for text, too; numbers
// are negative, and small enough for a smallint.
type probe struct {
	uuid   string
	number int
}

func newProbe() probe {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return probe{
		uuid:   fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]),
		number: -1 - int(binary.BigEndian.Uint16(b[:]))%30000,
	}
}

func (p probe) of(kind string) string {
	if kind == BigInt {
		return strconv.Itoa(p.number)
	}
	return p.uuid
}

// asker is in whose name questions are asked: a tenant, and another setting where
// it has a name.
type asker struct{ tenant, setting, value string }

// ask runs a query that returns the numbers of what it found, in the asker's
// name, and leaves no trace of it: an error ends only its own savepoint.
func (v *verifier) ask(ctx context.Context, tx pgx.Tx, as asker, sql string) (found []int, err error) {
	sub, err := tx.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := sub.Rollback(context.WithoutCancel(ctx)); e != nil && err == nil {
			err = e
		}
	}()
	if _, err := sub.Exec(ctx, "select set_config($1, $2, true), set_config('statement_timeout', $3, true)", tenant.TenantSetting, as.tenant, v.opts.probeTimeout); err != nil {
		return nil, err
	}
	if as.setting != "" {
		if _, err := sub.Exec(ctx, "select set_config($1, $2, true)", as.setting, as.value); err != nil {
			return nil, err
		}
	}
	// The text is never asked again: it must not push others out of the cache of
	// prepared statements.
	rows, err := sub.Query(ctx, sql, pgx.QueryExecModeExec)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int])
}

// question is one of several that are asked in one statement.
type question struct {
	sql    string // what exists when the answer is yes
	yes    func()
	failed func(*pgconn.PgError)
}

// askAll asks all at once, and one by one only when one of them fails.
func (v *verifier) askAll(ctx context.Context, tx pgx.Tx, as asker, questions []question) error {
	if len(questions) == 0 {
		return nil
	}
	parts := make([]string, len(questions))
	for i, q := range questions {
		parts[i] = fmt.Sprintf("select %d where exists (%s)", i, q.sql)
	}
	found, err := v.ask(ctx, tx, as, strings.Join(parts, "\nunion all\n"))
	var refused *pgconn.PgError
	switch {
	case err == nil:
		for _, i := range found {
			questions[i].yes()
		}
		return nil
	case !errors.As(err, &refused) || tx.Conn() == nil || tx.Conn().IsClosed():
		return err
	case len(questions) == 1:
		questions[0].failed(refused)
		return nil
	}
	for i := range questions {
		if err := v.askAll(ctx, tx, as, questions[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

const (
	noTenant    = ""
	cancelled   = "57014"
	noPrivilege = "42501"
)

// probeRows reads every table as nobody, and as a tenant that does not exist.
func (v *verifier) probeRows(ctx context.Context, tx pgx.Tx) error {
	stranger := newProbe()
	for _, kind := range []string{Text, UUID, BigInt} {
		for _, as := range []string{noTenant, stranger.of(kind)} {
			if err := v.askAll(ctx, tx, asker{tenant: as}, v.rowQuestions(kind, as)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *verifier) rowQuestions(kind, as string) (out []question) {
	for _, t := range v.scoped {
		if t.kind() != kind || !t.Secured || !t.Reads || t.Kind == "f" || t.MayOwn && !t.Forced || v.found(t.object(), "probe-timeout") {
			continue
		}
		out = append(out, question{
			sql: "select from " + t.sql(),
			yes: func() {
				if as == noTenant {
					v.add("rows-without-tenant", t.object(), t.startOver(), "A statement without a tenant sees rows.")
				} else {
					v.add("rows-of-others", t.object(), t.startOver(), "A tenant that does not exist sees rows.")
				}
			},
			failed: func(e *pgconn.PgError) {
				switch {
				case v.found(t.object(), "probe-timeout", "probe-failed"):
				case e.Code == cancelled:
					v.add("probe-timeout", t.object(), "-- see the other findings on the table, index-missing above all",
						"Reading it with no tenant took longer than %s, so that it is not known whether rows are visible.", v.opts.probeTimeout)
				case e.Code != noPrivilege && as == noTenant:
					v.add("probe-failed", t.object(), t.startOver(), "Reading it with no tenant fails (SQLSTATE %s) and does not just find nothing.", e.Code)
				}
			},
		})
	}
	return out
}

// tryCommit sees whether a tenant outlives the transaction that set it.
func (v *verifier) tryCommit(ctx context.Context, db Querier) error {
	if _, inside := db.(pgx.Tx); inside || v.found(tenant.TenantSetting, "setting-left-over") || len(v.session.Presets) > 0 {
		return nil
	}
	tx, err := db.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // after Commit it does nothing
	if _, err := tx.Exec(ctx, "select set_config($1, $2, true)", tenant.TenantSetting, newProbe().uuid); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	var after string
	if err := db.QueryRow(ctx, "select coalesce(current_setting($1, true), '')", tenant.TenantSetting).Scan(&after); err != nil {
		return err
	}
	if after != "" {
		v.add("setting-survives", tenant.TenantSetting, "-- find what sets it on the session, and set it for a transaction only",
			"A tenant was still set after the transaction that had set it: the next user of the connection works as that tenant.")
	}
	return nil
}
