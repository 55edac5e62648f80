package lifecycle_test

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/backend"
	"github.com/agentagency/onepool/internal/testing/faultproxy"
	"github.com/agentagency/onepool/internal/testing/pgfault"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

// promotion is a pool on the first of two servers. The second server refuses connections until
// its promotion.
type promotion struct {
	m          *lifecycle.Monitor
	old        *pgfault.Server
	new        *faultproxy.Proxy
	inFlight   *pgxpool.Conn
	answer     chan error // of a statement without an end on the old server
	oldAddress string
}

func beforePromotion(t *testing.T) *promotion {
	p := &promotion{old: pgfault.Start(t), new: pgfault.Start(t).Proxy(t), answer: make(chan error, 1)}
	first := p.old.Proxy(t)
	p.oldAddress = first.Addr()
	u, err := url.Parse(first.DatabaseURL("postgres", "postgres"))
	require.NoError(t, err)
	u.Host = first.Addr() + "," + p.new.Addr()
	u.RawQuery += "&target_session_attrs=primary"
	p.new.Cut()
	p.m = newMonitor(t, u.String(), func(c *lifecycle.Config) { c.AcquireTimeout, c.Pool.MaxConns = hang, 4 })
	p.m.SetProbeTimeout(2 * time.Second) // a probe of the old server ends, and the next asks the new server first
	require.NoError(t, p.m.Start(bounded(t)))
	p.inFlight = acquire(t, p.m, "in flight")
	go func() {
		_, err := p.inFlight.Exec(context.Background(), "select pg_sleep(3600)")
		p.answer <- err
	}()
	p.old.WaitForQuery(t, "select pg_sleep(3600)")
	return p
}

func TestThePoolLeavesAPrimaryThatHangsWhenAnotherIsPromoted(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	p := beforePromotion(t)
	p.old.Freeze(t)
	p.new.Restore()
	began := time.Now()
	require.Error(t, receive(t, p.answer)) // pgx may report only "conn closed"
	require.ErrorContains(t, backend.Of(p.inFlight.Conn()).BrokenBy(), "the pool left a server that does not answer")
	p.inFlight.Release()
	t.Logf("cut off after %s", time.Since(began))
	conn := acquire(t, p.m, "next")
	require.Equal(t, p.new.Addr(), conn.Conn().PgConn().Conn().RemoteAddr().String())
	_, err := conn.Exec(bounded(t), "select 1")
	require.NoError(t, err)
	conn.Release()
	eventually(t, func() bool { return p.m.Pool().Stat().TotalConns() == p.m.Pool().Stat().IdleConns() },
		"the connection to the old primary keeps its place")
	t.Logf("the place came back after %s", time.Since(began))
}

func TestThePoolKeepsALongStatementOfAServerThatAnswers(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	p := beforePromotion(t)
	p.new.Restore()
	// A look meets the second server if the first is slow for a moment.
	conn, err := pgx.Connect(bounded(t), p.new.DatabaseURL("postgres", "postgres"))
	require.NoError(t, err)
	defer conn.Close(t.Context())
	require.NoError(t, p.m.ProbeOver(bounded(t), conn))
	select {
	case err := <-p.answer:
		t.Fatalf("the statement was cut off: %v", err)
	default:
	}
	require.Equal(t, p.oldAddress, p.inFlight.Conn().PgConn().Conn().RemoteAddr().String())
	require.NoError(t, p.inFlight.Conn().PgConn().CancelRequest(bounded(t)))
	var canceled *pgconn.PgError
	require.ErrorAs(t, receive(t, p.answer), &canceled)
	p.inFlight.Release()
}
