package fxdb_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
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
