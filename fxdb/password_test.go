package fxdb_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
)

func TestAPasswordSourceHasTimeWhereConnectingHasNoBound(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	_, host := passwordServer(t, "clerk_without_bound")
	db, err := fxdb.Open(t.Context(), fxdb.Config{URL: "postgres://clerk_without_bound@/postgres?connect_timeout=0&host=" + host},
		fxdb.WithPasswordSource(func(ctx context.Context) (string, error) { return secret, ctx.Err() }))
	require.NoError(t, err)
	require.NoError(t, db.Close(t.Context()))
}

func TestAPasswordSourceIsAskedByOneCallerAtATime(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	_, host := passwordServer(t, "clerk_of_callers")
	var asked atomic.Int32
	var block atomic.Bool
	answer := make(chan struct{})
	db, err := fxdb.Open(t.Context(), fxdb.Config{Host: host, User: "clerk_of_callers", Name: "postgres"},
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
	ask := func(ctx context.Context) {
		all.Go(func() {
			if err := pc.BeforeConnect(ctx, pc.ConnConfig.Copy()); ctx.Err() == nil {
				t.Errorf("it did not wait: %v", err)
			}
		})
	}
	first, giveUp := context.WithCancel(within(t))
	defer giveUp()
	ask(first)
	require.Eventually(t, func() bool { return asked.Load() == 1 }, patience, time.Millisecond)
	for range 20 { // their patience ends while the source is being asked
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		ask(ctx)
	}
	giveUp()
	all.Wait()
	require.Equal(t, int32(1), asked.Load())
	close(answer)
	cc := pc.ConnConfig.Copy()
	require.NoError(t, pc.BeforeConnect(t.Context(), cc))
	require.Equal(t, secret, cc.Password)
}

func TestAPasswordSourceThatPanicsFailsTheConnect(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	_, host := passwordServer(t, "clerk_of_panics")
	_, err := fxdb.Open(t.Context(), fxdb.Config{Host: host, User: "clerk_of_panics", Name: "postgres"},
		fxdb.WithPasswordSource(func(context.Context) (string, error) { panic("no store") }))
	require.ErrorContains(t, err, "ask the password source: the password source panicked: no store")
}
