package fxdb_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// listening subscribes until the test ends.
func listening(t testing.TB, db *fxdb.DB, channels ...string) *fxdb.Subscription {
	t.Helper()
	s, err := db.Listen(within(t), channels...)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

func next(t testing.TB, s *fxdb.Subscription) fxdb.Notification {
	t.Helper()
	n, err := s.Next(within(t))
	require.NoError(t, err)
	return n
}

func TestNotificationsReachEverySubscriber(t *testing.T) {
	t.Parallel()
	db := notesDB(t)
	orders, both := listening(t, db.Named("orders"), "orders"), listening(t, db.Named("mail"), "orders", `od"d Name`, "orders")
	ctx := as(t, "acme")
	require.NoError(t, db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "select pg_notify('orders', 'in a transaction')")
		require.NoError(t, err)
		require.NoError(t, db.Notify(within(t), "orders", "before it"))
		return err
	}))
	require.Error(t, db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		_, _ = tx.Exec(ctx, "select pg_notify('orders', 'rolled back')")
		return context.Canceled
	}))
	require.NoError(t, db.Notify(ctx, `od"d Name`, ""))
	require.NoError(t, db.Notify(ctx, "orders", "last"))
	for _, payload := range []string{"before it", "in a transaction", "last"} {
		require.Equal(t, fxdb.Notification{Channel: "orders", Payload: payload}, next(t, orders))
	}
	for _, want := range []fxdb.Notification{{Channel: "orders", Payload: "before it"}, {Channel: "orders", Payload: "in a transaction"},
		{Channel: `od"d Name`}, {Channel: "orders", Payload: "last"}} {
		require.Equal(t, want, next(t, both))
	}
	require.Zero(t, db.Stats().TaintClosed, "Notify costs no connection")

	orders.Close()
	orders.Close()
	_, err := orders.Next(within(t))
	require.ErrorIs(t, err, fxdb.ErrSubscriptionClosed)
	require.NoError(t, db.Notify(ctx, "orders", "to the other"))
	require.Equal(t, "to the other", next(t, both).Payload)
}

func TestAllSubscriptionsShareOneConnectionOutsideThePool(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	own := notesDB(t)
	db := reopen(t, own, func(c *fxdb.Config) { c.PoolMax, c.ApplicationName = 1, "news" })
	held, err := db.Acquire(within(t)) // the whole pool
	require.NoError(t, err)
	const channels = 100
	subs := make([]*fxdb.Subscription, channels)
	var all sync.WaitGroup
	for i := range subs {
		all.Go(func() {
			var err error
			if subs[i], err = db.Named(strconv.Itoa(i)).Listen(within(t), fmt.Sprintf("channel %d", i)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	require.Equal(t, 1, backends(t, own, "news/listen"))
	require.Equal(t, fxdb.ListenerStats{Connected: true, Subscriptions: channels, Channels: channels}, db.Stats().Listener)
	require.Equal(t, 1, backends(t, own, "news"))
	require.EqualValues(t, 1, db.Stats().Opened)
	held.Release()
	for i, s := range subs {
		require.NoError(t, db.Notify(within(t), fmt.Sprintf("channel %d", i), "hello"))
		require.Equal(t, fxdb.Notification{Channel: fmt.Sprintf("channel %d", i), Payload: "hello"}, next(t, s))
	}

	lastText := func() (text string) {
		require.NoError(t, own.QueryRow(within(t), "select query from pg_stat_activity where datname = current_database() and application_name = 'news/listen'").Scan(&text))
		return text
	}
	subs[7].Close()
	require.Eventually(t, func() bool { return strings.Contains(lastText(), `unlisten "channel 7"`) }, patience, time.Millisecond)
	for _, s := range subs {
		s.Close()
	}
	requireNoBackends(t, own, "news/listen")
	s := listening(t, db, "again")
	require.NoError(t, db.Notify(within(t), "again", "hello"))
	require.Equal(t, "hello", next(t, s).Payload)
}

// The notifications are numbered. A number that is missing has a gap in its place, and no
// number comes twice.
func TestEveryLostConnectionIsAGap(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	own := notesDB(t)
	db := reopen(t, own, func(c *fxdb.Config) { c.ApplicationName = "news" })
	s := listening(t, db, "numbers")
	kills := size.Of(3, 10, 1000)
	over := make(chan struct{})
	var sending sync.WaitGroup
	sending.Go(func() {
		for i := 1; ; i++ {
			select {
			case <-over:
				return
			default:
			}
			if err := own.Notify(context.Background(), "numbers", strconv.Itoa(i)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	last, gap, gaps, missing := 0, true, 0, 0
	receive := func() {
		n := next(t, s)
		if n.Gap {
			require.Empty(t, n.Channel+n.Payload)
			gap = true
			gaps++
			return
		}
		number, err := strconv.Atoi(n.Payload)
		require.NoError(t, err)
		require.Greater(t, number, last, "it came twice")
		if number != last+1 {
			require.True(t, gap, "%d follows %d without a gap", number, last)
			missing += number - last - 1
		}
		last, gap = number, false
	}
	for range kills {
		for before := last; last == before; {
			receive()
		}
		var killed bool
		require.NoError(t, own.QueryRow(within(t),
			"select coalesce(bool_or(pg_terminate_backend(pid)), false) from pg_stat_activity where datname = current_database() and application_name = 'news/listen'").Scan(&killed))
		require.True(t, killed)
		for before := gaps; gaps == before; {
			receive()
		}
	}
	close(over)
	sending.Wait()
	require.GreaterOrEqual(t, db.Stats().Listener.Lost, int64(kills))
	t.Logf("%d kills, %d gaps, %d of %d notifications missing", kills, gaps, missing, last)
}

func TestASlowSubscriberGetsAGap(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t)
	slow, quick := listening(t, db, "numbers"), listening(t, db, "numbers")
	const sent = 1500
	_, err := db.Exec(within(t), "select pg_notify('numbers', n::text) from generate_series(1, $1::int) n", sent)
	require.NoError(t, err)
	received := func(s *fxdb.Subscription, first, last int) {
		for i := first; i <= last; i++ {
			require.Equal(t, strconv.Itoa(i), next(t, s).Payload)
		}
	}
	received(quick, 1, 1) // so that it has come
	require.NoError(t, db.Notify(within(t), "numbers", "the last"))
	require.Eventually(t, func() bool { // until the other one has them too
		n := next(t, quick)
		return n.Payload == "the last" || n.Gap
	}, patience, time.Microsecond)
	received(slow, 1, 1024)
	require.Equal(t, fxdb.Notification{Gap: true}, next(t, slow))
	require.NoError(t, db.Notify(within(t), "numbers", "after the gap"))
	last := 1024
	for n := next(t, slow); n.Payload != "after the gap"; n = next(t, slow) {
		if n.Gap || n.Payload == "the last" { // the rest of the numbers was still on its way
			continue
		}
		i, err := strconv.Atoi(n.Payload)
		require.NoError(t, err)
		require.Greater(t, i, last, "a notification came twice, or late")
		last = i
	}
}

func TestAStopEndsSubscriptionsFirst(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	own := notesDB(t)
	db, err := openOn(t, own.Pool().Config().ConnString(), func(c *fxdb.Config) { c.ApplicationName, c.DrainTimeout = "news", time.Hour })
	require.NoError(t, err)
	s := listening(t, db, "orders")
	require.NoError(t, db.Notify(within(t), "orders", "unread"))
	require.NoError(t, listeningOnce(t, db, "orders"))
	tx, err := db.Begin(within(t))
	require.NoError(t, err)
	closed := make(chan error, 1)
	go func() { closed <- db.Close(context.Background()) }()
	for err = error(nil); err == nil; {
		_, err = s.Next(within(t))
	}
	require.ErrorIs(t, err, fxdb.ErrDraining)
	requireNoBackends(t, own, "news/listen")
	require.Empty(t, closed, "the transaction is still open")
	_, err = db.Listen(within(t), "orders")
	require.ErrorIs(t, err, fxdb.ErrDraining)
	require.NoError(t, tx.Commit(within(t)))
	require.NoError(t, receive(t, closed, "the end of the drain"))
	s.Close()
}

// listeningOnce subscribes and ends the subscription.
func listeningOnce(t testing.TB, db *fxdb.DB, channel string) error {
	s, err := db.Listen(within(t), channel)
	if err == nil {
		s.Close()
	}
	return err
}

func TestListenIsRefused(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	own := notesDB(t)
	strict := own.Named("strict", fxdb.RequireTenant())
	pooled := reopen(t, own, func(c *fxdb.Config) { c.Pooler = "transaction" })
	require.NoError(t, pooled.Notify(within(t), "orders", "through a pooler"))
	for name, c := range map[string]struct {
		db      *fxdb.DB
		ctx     context.Context
		channel []string
		is      error
		want    string
	}{
		"behind a pooler":                    {pooled, within(t), []string{"a"}, fxdb.ErrNeedsSession, ""},
		"with a tenant":                      {own, as(t, "acme"), []string{"a"}, fxdb.ErrTenantNotCarried, ""},
		"without a tenant":                   {strict, within(t), []string{"a"}, fxdb.ErrTenantRequired, ""},
		"without a channel":                  {own, within(t), nil, nil, "name a channel"},
		"with an empty name":                 {own, within(t), []string{"a", ""}, nil, "empty name"},
		"with a long name":                   {own, within(t), []string{strings.Repeat("a", 64)}, nil, "longer than 63 bytes"},
		"with a NUL byte":                    {own, within(t), []string{"a\x00b"}, nil, "NUL byte"},
		"with a context that ended":          {own, ended(t), []string{"a"}, context.Canceled, ""},
		"of a client with an invalid option": {own.Named("none", fxdb.MaxConns(0)), within(t), []string{"a"}, nil, "MaxConns(0)"},
	} {
		s, err := c.db.Listen(c.ctx, c.channel...)
		require.Nil(t, s, name)
		require.Error(t, err, name)
		if c.is != nil {
			require.ErrorIs(t, err, c.is, name)
		}
		require.ErrorContains(t, err, c.want, name)
	}
	require.Error(t, own.Notify(within(t), "", ""))
	require.ErrorContains(t, own.Notify(within(t), "orders", strings.Repeat("x", 8000)), "payload string too long")
	s, err := strict.Listen(tenant.System(within(t), "the news"), "a")
	require.NoError(t, err)
	s.Close()
}

func ended(t testing.TB) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func TestTheListenerCountsInTheCheckOfTheSize(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	own := notesDB(t, testkit.Config(one))
	owner := testkit.OwnerPool(t, own)
	limit := func(n int) {
		_, err := owner.Exec(within(t), fmt.Sprintf("alter database %s connection limit %d", own.Pool().Config().ConnConfig.Database, n))
		require.NoError(t, err)
	}
	four := func(c *fxdb.Config) { c.PoolMax = 4 }
	core, logs := observer.New(zap.WarnLevel)
	limit(4)
	_, err := openOn(t, own.Pool().Config().ConnString(), four)
	require.ErrorContains(t, err, "DB_POOL_MAX is 4, and one more watches the server's health, 5 in all")
	limit(5) // the limit counts connections of the test's other pools too
	db, err := openOn(t, own.Pool().Config().ConnString(), four, fxdb.WithLogger(zap.New(core)))
	if err == nil {
		require.NoError(t, db.Close(context.Background()))
	} else {
		require.NotContains(t, err.Error(), "in all")
	}
	require.Equal(t, 1, logs.FilterMessage("the limits on connections leave too few for DB.Listen and for the cancel of late statements").Len())
	limit(-1)
}
