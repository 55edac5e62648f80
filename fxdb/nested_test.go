package fxdb_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
)

func openNested(t *testing.T, mode fxdb.NestedMode, change ...func(*fxdb.Config)) (*fxdb.DB, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zap.WarnLevel)
	cfg := fxdb.Config{URL: urlOf(t), PoolMax: 4, NestedAcquire: mode}
	for _, c := range change {
		c(&cfg)
	}
	db, err := fxdb.Open(t.Context(), cfg, fxdb.WithLogger(zap.New(core)))
	require.NoError(t, err)
	t.Cleanup(func() { db.Close(context.Background()) })
	return db, logs
}

func TestANestedAcquireFailsWhereThatIsStrict(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db, _ := openNested(t, "strict")
	ctx := t.Context()
	other, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	for name, acquire := range map[string]func() error{
		"the same context": func() error { _, err := db.Exec(ctx, "select 1"); return err },
		"another context":  func() error { _, err := db.Exec(other, "select 1"); return err },
		"another client":   func() error { return db.Named("other").QueryRow(ctx, "select 1").Scan(new(int)) },
		"a transaction":    func() error { _, err := db.Begin(ctx); return err },
		"the raw pool":     func() error { _, err := db.Pool().Exec(ctx, "select 1"); return err },
	} {
		err := db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "select 1")
			require.NoError(t, err, "the transaction's own connection")
			return acquire()
		})
		require.ErrorIs(t, err, fxdb.ErrNestedAcquire, name)
		require.ErrorContains(t, err, "nested_test.go", name)
	}
	_, err := db.Exec(ctx, "select 1")
	require.NoError(t, err, "the transaction has ended")
	require.Zero(t, db.Stats().Active)
}

func TestTransactionsOfSeveralGoroutinesAreNotNested(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	db, logs := openNested(t, "strict")
	var begun, wg sync.WaitGroup
	begun.Add(3)
	for range 3 {
		wg.Go(func() {
			err := db.InTx(t.Context(), pgx.TxOptions{}, func(tx pgx.Tx) error {
				begun.Done()
				begun.Wait()
				_, err := tx.Exec(t.Context(), "select 1")
				return err
			})
			require.NoError(t, err)
		})
	}
	begun.Wait()
	_, err := db.Exec(t.Context(), "select 1")
	require.NoError(t, err)
	wg.Wait()
	require.Zero(t, logs.FilterMessageSnippet("nested").Len())
}

func TestANestedAcquireIsWarnedOfOnceAClient(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	db, logs := openNested(t, "") // the default
	nested := func() *observer.ObservedLogs { return logs.FilterMessageSnippet("nested acquire") }
	ctx := t.Context()
	tx, err := db.Begin(ctx) // the first one is in the sample
	require.NoError(t, err)
	for range 3 {
		_, err := db.Named("inner").Exec(ctx, "select 1")
		require.NoError(t, err)
	}
	require.NoError(t, tx.Rollback(ctx))
	require.Equal(t, 1, nested().Len())
	require.Equal(t, "inner", nested().All()[0].ContextMap()["asked_by"])
	require.Equal(t, "app", nested().All()[0].ContextMap()["client"])
}

func TestANestedAcquireThatCanNeverBeGrantedFailsAtOnce(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	db, _ := openNested(t, "", func(c *fxdb.Config) { c.ConnectionTimeout = time.Hour })
	alone := db.Named("alone", fxdb.MaxConns(1))
	ctx := within(t)
	err := alone.InTx(ctx, pgx.TxOptions{}, func(pgx.Tx) error { return alone.Ping(ctx) }) // the first one is in the sample
	require.ErrorIs(t, err, fxdb.ErrNestedAcquire)
	require.NotErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "alone")
	require.NoError(t, alone.Ping(ctx))
	requirePermitsBack(t, db)
}

func TestADeadlockOfTransactionsSaysWhatItIs(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	db, _ := openNested(t, "warn", one, func(c *fxdb.Config) { c.ConnectionTimeout = 500 * time.Millisecond })
	err := db.InTx(t.Context(), pgx.TxOptions{}, func(pgx.Tx) error {
		return db.QueryRow(context.Background(), "select 1").Scan(new(int)) // with another context
	})
	require.ErrorIs(t, err, fxdb.ErrAcquireTimeout)
	require.ErrorIs(t, err, fxdb.ErrNestedAcquire)
	require.ErrorContains(t, err, "use the transaction")
	require.NotContains(t, err.Error(), "raise DB_POOL_MAX")

	off, logs := openNested(t, "off", one, func(c *fxdb.Config) { c.ConnectionTimeout = 500 * time.Millisecond })
	err = off.InTx(t.Context(), pgx.TxOptions{}, func(pgx.Tx) error { return off.Ping(t.Context()) })
	require.ErrorIs(t, err, fxdb.ErrAcquireTimeout)
	require.NotErrorIs(t, err, fxdb.ErrNestedAcquire)
	require.Zero(t, logs.FilterMessageSnippet("nested").Len())
}

// readsAnd calls fn when the first row of several is read.
func readsAnd(t *testing.T, db *fxdb.DB, ctx context.Context, fn func() error) error {
	t.Helper()
	rows, err := db.Query(ctx, "select generate_series(1, 3)")
	require.NoError(t, err)
	defer rows.Close()
	require.True(t, rows.Next())
	return fn()
}

func TestAnAcquireAmidRowsIsNested(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	db, _ := openNested(t, "strict")
	for _, ctx := range []context.Context{t.Context(), as(t, "acme")} {
		err := readsAnd(t, db, ctx, func() error { return db.Ping(context.Background()) })
		require.ErrorIs(t, err, fxdb.ErrNestedAcquire)
		require.ErrorContains(t, err, "nested_test.go")
		require.NoError(t, db.Ping(ctx), "the rows are closed")

		require.NoError(t, readsAnd(t, db, ctx, func() error {
			other := make(chan error)
			go func() { other <- db.Ping(ctx) }()
			return <-other
		}), "another goroutine's")
	}
	rows, err := db.Query(t.Context(), "select generate_series(1, 3)")
	require.NoError(t, err)
	read := make(chan struct{})
	go func() {
		defer close(read)
		for rows.Next() {
		}
	}()
	require.NoError(t, db.Ping(t.Context()), "another goroutine reads them")
	<-read
}

func TestADeadlockAmidRowsSaysWhatItIs(t *testing.T) {
	size.SkipUnlessSoak(t, "TestADeadlockOfTransactionsSaysWhatItIs")
	t.Parallel()
	db, logs := openNested(t, "warn", one, func(c *fxdb.Config) { c.ConnectionTimeout = 500 * time.Millisecond })
	err := readsAnd(t, db, t.Context(), func() error { return db.Ping(t.Context()) }) // the first one is in the sample
	require.ErrorIs(t, err, fxdb.ErrAcquireTimeout)
	require.ErrorIs(t, err, fxdb.ErrNestedAcquire)
	require.ErrorContains(t, err, "close the goroutine's rows")
	require.Equal(t, 1, logs.FilterMessageSnippet("nested acquire").Len())
	requirePermitsBack(t, db)
}

// The pool remembers one transaction in 16. The errors of the other waiters in the same
// deadlock must not advise a larger pool.
func TestATimeoutBesideANestedAcquireDoesNotAdviseALargerPool(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db, _ := openNested(t, "warn", func(c *fxdb.Config) { c.PoolMin, c.PoolMax, c.ConnectionTimeout = 2, 2, time.Hour })
	ctx, cancel := context.WithCancel(within(t))
	begun, full, ended := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		ended <- db.Named("remembered").InTx(ctx, pgx.TxOptions{}, func(pgx.Tx) error { // the first is in the sample
			close(begun)
			<-full
			return db.Ping(ctx)
		})
	}()
	<-begun
	var nested error
	err := db.Named("other").InTx(within(t), pgx.TxOptions{}, func(pgx.Tx) error {
		close(full)
		require.Eventually(t, func() bool { return db.Stats().Waiting == 1 }, time.Minute, time.Millisecond)
		soon, stop := context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer stop()
		err := db.Named("other").Ping(soon)
		cancel() // before this transaction's connection serves the other's acquire
		nested = <-ended
		return err
	})
	require.ErrorIs(t, nested, fxdb.ErrNestedAcquire)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotContains(t, err.Error(), "raise DB_POOL_MAX")
	require.ErrorContains(t, err, "a larger pool does not help")
}
