package fxdb_test

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/internal/pgfault"
)

// A dead network is noticed within five seconds by keepalive and user timeout; what
// is beyond that is for a slow machine.
const (
	deadNetwork = 5 * time.Second
	slowMachine = 3 * time.Second
)

// startLoadBehind puts the load behind a proxy.
func startLoadBehind(t *testing.T, s *pgfault.Server) (*load, *pgfault.Proxy) {
	t.Helper()
	p := s.Proxy(t)
	l := startLoad(t, s, func(c *fxdb.Config) { c.URL = p.DatabaseURL(devdb.App, "faults") })
	l.serverLags = true
	return l, p
}

func TestFaultConnectionsAreReset(t *testing.T) {
	noLeaks(t)
	l, p := startLoadBehind(t, pgfault.Start(t))
	l.during(t, "all connections reset, new ones too for 0.3 s", 3, func() {
		p.Cut()
		<-time.After(300 * time.Millisecond)
		p.Restore()
	})
}

func TestFaultPacketsVanish(t *testing.T) {
	noLeaks(t)
	l, p := startLoadBehind(t, pgfault.Start(t))
	l.during(t, "packets of open connections vanish", 1, func() { p.Blackhole(t, false) })
	require.Less(t, time.Duration(l.longest.Load()), deadNetwork+slowMachine, "a caller without a deadline was kept")
}

func TestFaultTheFirstOfTwoHostsIsDead(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	first, second := s.Proxy(t), s.Proxy(t)
	first.Blackhole(t, true)
	u, err := url.Parse(second.DatabaseURL(devdb.App, "postgres"))
	require.NoError(t, err)
	u.Host = first.Addr() + "," + u.Host
	db, err := fxdb.Open(t.Context(), fxdb.Config{URL: u.String(), PoolMin: 0, PoolMax: 1, ConnectionTimeout: 4 * time.Second})
	require.NoError(t, err)
	defer db.Close(context.Background())
	require.NoError(t, db.Ping(t.Context()))
}
