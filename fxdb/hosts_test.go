package fxdb_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/internal/testing/pgfault"
	"github.com/agentagency/onepool/internal/testing/size"
)

// twoHosts is a connection string with a host that stays silent before one that answers.
func twoHosts(t *testing.T) (url, answers string) {
	s := pgfault.Start(t)
	silent, good := s.Proxy(t), s.Proxy(t)
	silent.Blackhole(t, true)
	answers = good.Addr()
	return strings.Replace(good.DatabaseURL(devdb.RoleApp, "postgres"), answers, silent.Addr()+","+answers, 1), answers
}

func TestASilentHostKeepsNobodyFromTheNext(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	url, answers := twoHosts(t)
	core, logs := observer.New(zap.InfoLevel)
	began := time.Now()
	db, err := fxdb.Open(within(t), fxdb.Config{URL: url, PoolMin: 1, PoolMax: 4}, fxdb.WithLogger(zap.New(core)))
	require.NoError(t, err)
	defer db.Close(context.Background())
	t.Logf("started after %v", time.Since(began))
	require.Less(t, time.Since(began), 10*time.Second, "the connect timeout of the silent host alone is 5 s for each step of the start")
	for range 3 {
		health := db.Monitor().Health(within(t))
		require.True(t, health.Ready, "%+v", health)
	}
	began = time.Now()
	for range 3 { // each opens a connection
		tx, err := db.Begin(within(t))
		require.NoError(t, err)
		defer func() { _ = tx.Rollback(context.Background()) }()
		_, err = tx.Exec(within(t), "select 1")
		require.NoError(t, err)
	}
	t.Logf("three connections after %v", time.Since(began))
	require.Equal(t, fmt.Sprintf("%s/postgres", answers), db.Monitor().Database(), "the log names the host that answers")
	require.NotEmpty(t, logs.FilterField(zap.String("database", answers+"/postgres")).All())
}

// A name with a silent address, and a standby that is silent, keep nobody from the address or the
// primary that answers.
func TestASilentAddressAndASilentStandbyKeepNobody(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	s := pgfault.Start(t)
	silent, good := s.Proxy(t), s.Proxy(t)
	silent.Blackhole(t, true)
	url := good.DatabaseURL(devdb.RoleApp, "postgres")
	hosts := func(first, second string) string { return strings.Replace(url, good.Addr(), first+","+second, 1) }
	for name, c := range map[string]struct {
		url   string
		addrs []string // of the host's name
	}{
		"a name":                 {url, []string{silent.Addr(), good.Addr()}},
		"a name with a refusal":  {url, []string{"127.0.0.1:1", good.Addr()}},
		"a standby in front":     {hosts(silent.Addr(), good.Addr()) + "&target_session_attrs=prefer-standby", nil},
		"a standby behind":       {hosts(good.Addr(), silent.Addr()) + "&target_session_attrs=prefer-standby", nil},
		"a standby that refuses": {hosts(good.Addr(), "127.0.0.1:1") + "&target_session_attrs=prefer-standby", nil},
		"the same host twice":    {hosts(silent.Addr()+","+silent.Addr(), good.Addr()), nil},
	} {
		began := time.Now()
		cfg := fxdb.Config{URL: c.url, PoolMin: 1, PoolMax: 4}
		db, err := fxdb.Open(within(t), cfg, fxdb.WithConfigurePool(func(pc *pgxpool.Config) error {
			if c.addrs != nil {
				pc.ConnConfig.LookupFunc = func(context.Context, string) ([]string, error) { return c.addrs, nil }
			}
			return nil
		}))
		require.NoError(t, err, name)
		var open []pgx.Tx
		for range 3 { // each opens a connection
			tx, err := db.Begin(within(t))
			require.NoError(t, err, name)
			_, err = tx.Exec(within(t), "select 1")
			require.NoError(t, err, name)
			open = append(open, tx)
		}
		require.True(t, db.Monitor().Health(within(t)).Ready, name)
		t.Logf("%s: started, and opened three connections, after %v", name, time.Since(began))
		require.Less(t, time.Since(began), 15*time.Second, "%s: the connect timeout of the silent host alone is 5 s for each connection", name)
		for _, tx := range open {
			require.NoError(t, tx.Rollback(within(t)), name)
		}
		require.NoError(t, db.Close(context.Background()))
	}
}

func TestAHostThatComesBackIsAskedAgain(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	s := pgfault.Start(t)
	first, second := s.Proxy(t), s.Proxy(t)
	first.Cut() // nothing listens to new connections: no wait
	url := strings.Replace(second.DatabaseURL(devdb.RoleApp, "postgres"), second.Addr(), first.Addr()+","+second.Addr(), 1)
	db, err := fxdb.Open(within(t), fxdb.Config{URL: url, PoolMin: 0, PoolMax: 1, MaxLifetime: time.Millisecond})
	require.NoError(t, err)
	defer db.Close(context.Background())
	port := func() (addr string) {
		require.NoError(t, db.InTx(within(t), pgx.TxOptions{}, func(tx pgx.Tx) error {
			addr = tx.Conn().PgConn().Conn().RemoteAddr().String()
			return nil
		}))
		return addr
	}
	require.Equal(t, second.Addr(), port())
	first.Restore()
	require.Eventually(t, func() bool { return port() == first.Addr() }, patience, 10*time.Millisecond, "the first host is never used again")
}

// The migrations reach the host that answers within the start's time, whatever connection string
// they use: nobody waits for the silent host's connect timeout.
func TestMigrationsReachTheHostBehindASilentOne(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	url, _ := twoHosts(t)
	owner := strings.Replace(url, devdb.RoleApp, "postgres", 1)
	for name, cfg := range map[string]fxdb.Config{
		"the pool's login":            {URL: owner},
		"DB_MIGRATE_URL":              {URL: url, MigrateURL: owner},
		"DB_MIGRATE_URL without them": {URL: url, MigrateURL: "user=postgres"},
	} {
		cfg.Migrate, cfg.PoolMin, cfg.PoolMax = true, 1, 2
		began := time.Now()
		db, err := fxdb.Open(within(t), cfg, fxdb.WithMigrations("m"+strings.ToLower(name[len(name)-4:]), fstest.MapFS{"00001_silent.sql": {Data: []byte("-- +goose Up\nselect 1;\n")}}))
		require.NoError(t, err, name)
		t.Logf("%s: started after %v", name, time.Since(began))
		require.NoError(t, db.Close(context.Background()))
	}
}

// startingUp answers so many connections as a server that starts (57P03), and passes on the rest.
func startingUp(t *testing.T, server string, times int64) (addr string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var conns sync.WaitGroup
	t.Cleanup(func() { ln.Close(); conns.Wait() })
	var left atomic.Int64
	left.Store(times)
	conns.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer client.Close()
				if left.Add(-1) < 0 {
					pass(client, server)
					return
				}
				backend := pgproto3.NewBackend(client, client)
				if _, err := backend.ReceiveStartupMessage(); err == nil {
					backend.Send(&pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: "57P03", Message: "the database system is starting up"})
					_ = backend.Flush()
				}
			})
		}
	})
	return ln.Addr().String()
}

// pass carries bytes between a client and a server until either ends.
func pass(client net.Conn, server string) {
	conn, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	var back sync.WaitGroup
	back.Go(func() { _, _ = io.Copy(client, conn); client.Close() })
	_, _ = io.Copy(conn, client)
	conn.Close()
	back.Wait()
}

// A server of DB_MIGRATE_URL that starts up is waited for, as the pool's own is.
func TestMigrationsWaitForAServerThatStartsUp(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	s := pgfault.Start(t)
	good := s.Proxy(t)
	migrate := strings.Replace(good.DatabaseURL("postgres", "postgres"), good.Addr(), startingUp(t, good.Addr(), 3), 1)
	for _, start := range []fxdb.StartMode{fxdb.StartWait, fxdb.StartDegrade} {
		db, err := fxdb.Open(within(t), fxdb.Config{URL: s.AppURL(), MigrateURL: migrate, Migrate: true, Start: start, PoolMin: 1, PoolMax: 2},
			fxdb.WithMigrations("starting", fstest.MapFS{"00001_starting.sql": {Data: []byte("-- +goose Up\nselect 1;\n")}}))
		require.NoError(t, err, start)
		require.Eventually(t, func() bool { return db.Ping(within(t)) == nil }, patience, 10*time.Millisecond, start)
		require.NoError(t, db.Close(context.Background()))
	}
}
