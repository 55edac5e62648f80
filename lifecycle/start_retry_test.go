package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/internal/testing/pgfault"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

// finalError is what BeforeReady returns of a migration that would fail again.
type finalError struct{ error }

func (finalError) Final() bool { return true }

func (e finalError) Unwrap() error { return e.error }

func saw(logs *observer.ObservedLogs, text string) func() bool {
	return func() bool {
		return logs.Filter(func(e observer.LoggedEntry) bool { return strings.Contains(e.Message, text) }).Len() > 0
	}
}

// A failing migration would fail again, with its side effects again, at each attempt.
func TestAFinalFailureEndsTheStartInEveryMode(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	s := newDatabase(t)
	// An error of the kind that is tried again, were it not final.
	boom := finalError{fmt.Errorf("migrations: %w", &pgconn.PgError{Code: "57P01", Message: "boom"})}
	for _, mode := range []lifecycle.StartMode{lifecycle.StartRequire, lifecycle.StartWait, lifecycle.StartDegrade} {
		calls := 0
		m := newMonitor(t, s.URL(), func(c *lifecycle.Config) {
			c.Start = mode
			c.BeforeReady = func(context.Context) error { calls++; return boom }
		})
		require.ErrorIs(t, m.Start(t.Context()), boom, mode)
		require.Equal(t, 1, calls, mode)
	}

	core, logs := observer.New(zap.WarnLevel)
	late := newLateServer(t)
	var calls atomic.Int32
	m := newMonitor(t, s.URL(), func(c *lifecycle.Config) {
		late.via(c)
		c.Start, c.Logger = lifecycle.StartDegrade, zap.New(core)
		c.BeforeReady = func(context.Context) error { calls.Add(1); return boom }
	})
	require.NoError(t, m.Start(t.Context()))
	late.open(t, s)
	require.Eventually(t, saw(logs, "pool gives up the start"), time.Minute, time.Millisecond)
	require.EqualValues(t, 1, calls.Load())
	require.False(t, saw(logs, "boom")())
	last := logs.All()[logs.Len()-1]
	require.Equal(t, zapcore.ErrorLevel, last.Level, "and nothing is logged after it")
	_, err := m.Acquire(t.Context(), lifecycle.Request{Client: "late"})
	require.ErrorIs(t, err, lifecycle.ErrNotStarted)
	require.ErrorContains(t, err, "failed for good")
	require.ErrorContains(t, err, "boom")
	require.Contains(t, m.Health(t.Context()).Error, "failed for good")
	_, err = lifecycle.Drain(t.Context(), m, time.Minute)
	require.NoError(t, err)
}

func TestWhatAnOperatorMendsEndsTheTrouble(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	for name, c := range map[string]struct {
		url          func(*pgfault.Server) string
		breaks, mend string
		says         string
	}{
		"the database": {
			func(s *pgfault.Server) string { return s.DatabaseURL("postgres", "later") },
			"", "create database later", "the database does not exist",
		},
		"the role": {
			func(s *pgfault.Server) string { return s.DatabaseURL("later", "postgres") },
			"", "create role later login", "the server refuses the role",
		},
		"a right": {
			(*pgfault.Server).AppURL,
			"revoke connect on database postgres from public", "grant connect on database postgres to public",
			"the role lacks a right",
		},
		"the size": {
			(*pgfault.Server).AppURL,
			"alter role " + devdb.RoleApp + " connection limit 2", "alter role " + devdb.RoleApp + " connection limit -1",
			"larger than the server allows",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := pgfault.Start(t)
			change := func(sql string) {
				s.Admin(t, func(conn *pgx.Conn) {
					_, err := conn.Exec(t.Context(), sql)
					require.NoError(t, err)
				})
			}
			if c.breaks != "" {
				change(c.breaks)
			}
			core, logs := observer.New(zap.WarnLevel)
			late := newLateServer(t)
			m := newMonitor(t, c.url(s), func(cfg *lifecycle.Config) {
				late.via(cfg)
				cfg.Start, cfg.Logger = lifecycle.StartDegrade, zap.New(core)
			})
			m.MendAfter(time.Millisecond)
			require.NoError(t, m.Start(t.Context()))
			late.open(t, &database{server: &server{Server: s}})
			require.Eventually(t, saw(logs, c.says), time.Minute, time.Millisecond)
			change(c.mend)
			require.Eventually(t, m.Started, time.Minute, time.Millisecond)
		})
	}
}

// refusesTLS is a server that speaks no TLS.
func refusesTLS(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			request := make([]byte, 8)
			if _, err := io.ReadFull(conn, request); err == nil {
				_, _ = conn.Write([]byte("N"))
			}
			conn.Close()
		}
	}()
	return "postgres://u@" + ln.Addr().String() + "/d?sslmode=require"
}

func TestAServerWithoutTLSIsNamed(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.WarnLevel)
	m := newMonitor(t, refusesTLS(t), func(c *lifecycle.Config) {
		c.Start, c.Logger = lifecycle.StartDegrade, zap.New(core)
	})
	require.NoError(t, m.Start(t.Context()))
	require.Eventually(t, saw(logs, "TLS fails, retrying"), time.Minute, time.Millisecond)
	require.False(t, saw(logs, "can't reach its server")())
}

func TestStartsAreTriedAgainAtTheirPaceAndNamedTruly(t *testing.T) {
	t.Parallel()
	refused := func(code string) error { return fmt.Errorf("start: %w", &pgconn.PgError{Code: code}) }
	unreachable := &net.OpError{Op: "dial", Err: errors.New("refused")}
	for _, c := range []struct {
		err   error
		first time.Duration // at least
		says  string
	}{
		{unreachable, 80 * time.Millisecond, "pool can't reach its server"},
		{refused("57P03"), 80 * time.Millisecond, "takes no connections now"},
		{refused("53300"), 80 * time.Millisecond, "no connection left"},
		{refused("28P01"), 4 * time.Second, "refuses the password"},
		{refused("28000"), 4 * time.Second, "refuses the role"},
		{refused("3D000"), 4 * time.Second, "database does not exist"},
		{refused("42501"), 4 * time.Second, "lacks a right"},
		{errors.New("tenancy"), 4 * time.Second, "pool can't start"},
	} {
		first, says := lifecycle.StartPause(c.err, 1)
		require.GreaterOrEqual(t, first, c.first, c.says)
		require.Less(t, first, 2*c.first, c.says)
		require.Contains(t, says, c.says)
		late, _ := lifecycle.StartPause(c.err, 20)
		if c.first >= time.Second {
			require.GreaterOrEqual(t, late, 24*time.Second, c.says)
		}
		require.LessOrEqual(t, late, 36*time.Second, c.says)
	}
}
