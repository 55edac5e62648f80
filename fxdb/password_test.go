package fxdb_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
)

func TestAPasswordSourceHasTimeWhereConnectingHasNoBound(t *testing.T) {
	t.Parallel()
	_, host := passwordServer(t)
	db, err := fxdb.Open(t.Context(), fxdb.Config{URL: "postgres://clerk@/postgres?connect_timeout=0&host=" + host},
		fxdb.WithPasswordSource(func(ctx context.Context) (string, error) { return secret, ctx.Err() }))
	require.NoError(t, err)
	require.NoError(t, db.Close(t.Context()))
}

func TestAPasswordSourceIsAskedByOneCallerAtATime(t *testing.T) {
	t.Parallel()
	_, host := passwordServer(t)
	var asked atomic.Int32
	var block atomic.Bool
	answer := make(chan struct{})
	db, err := fxdb.Open(t.Context(), fxdb.Config{Host: host, User: "clerk", Name: "postgres"},
		fxdb.WithPasswordSource(func(context.Context) (string, error) {
			asked.Add(1)
			if block.Load() {
				<-answer
			}
			return secret, nil
		}))
	require.NoError(t, err)
	defer db.Close(t.Context())
	pc := db.Pool().Config()
	asked.Store(0)
	block.Store(true)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			// Their patience ends while the source is being asked.
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if err := pc.BeforeConnect(ctx, pc.ConnConfig.Copy()); ctx.Err() == nil {
				t.Errorf("it did not wait: %v", err)
			}
		})
	}
	all.Wait()
	require.Equal(t, int32(1), asked.Load())
	close(answer)
	cc := pc.ConnConfig.Copy()
	require.NoError(t, pc.BeforeConnect(t.Context(), cc))
	require.Equal(t, secret, cc.Password)
}

func TestAPasswordSourceThatPanicsFailsTheConnect(t *testing.T) {
	t.Parallel()
	_, host := passwordServer(t)
	_, err := fxdb.Open(t.Context(), fxdb.Config{Host: host, User: "clerk", Name: "postgres"},
		fxdb.WithPasswordSource(func(context.Context) (string, error) { panic("no store") }))
	require.ErrorContains(t, err, "ask the password source: it panicked: no store")
}
