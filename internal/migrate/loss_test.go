package migrate_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/internal/migrate"
	"github.com/agentagency/onepool/internal/testing/size"
)

// The locks of a run, as pg_locks shows the lower halves of their keys.
const (
	theLock = 0x706f6f6c // "pool": of the session that migrates
	theTurn = 0x7475726e // "turn": of the second session
)

// terminate ends the session that holds the lock, and waits until the session is gone.
func (o session) terminate(lock int) {
	o.t.Helper()
	require.Equal(o.t, 1, value[int](o, `select count(pg_terminate_backend(pid, 60000)) from pg_locks
		where locktype = 'advisory' and granted and objid = $1
		  and database = (select oid from pg_database where datname = current_database())`, lock))
}

func background(t *testing.T, cc *pgx.ConnConfig, text string) chan error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- migrate.Up(context.Background(), cc, zap.NewNop(), source(one(text))) }()
	return done
}

// The loss of the session that migrates ends the migration at once: nothing of it goes on
// without the lock.
func TestTheLossOfTheSessionEndsTheMigration(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text  string
		final bool
		cents []int // after the loss, and after the next start
	}{
		"in a transaction": {hundredfold + passGate, false, []int{100, 10000}},
		// As with goose: the start that follows does all of it again.
		"outside a transaction": {"-- +goose NO TRANSACTION\n" + hundredfold + passGate, true, []int{10000, 1000000}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cc, o := account(t)
			done := background(t, cc, c.text)
			o.waitAtGate(1, nil)
			o.terminate(theLock)
			err := <-done
			var failed *migrate.Error
			require.ErrorAs(t, err, &failed)
			require.True(t, failed.Lost)
			require.Equal(t, c.final, failed.Final())
			require.Equal(t, "00001_a.sql", failed.File)
			require.Equal(t, c.cents[0], value[int](o, "select cents from acct"))
			require.Zero(t, value[int](o, "select count(*) from onepool.shop_versions where version_id = 1"))
			o.openGate()
			require.NoError(t, up(t, cc, one(c.text)))
			require.Equal(t, c.cents[1], value[int](o, "select cents from acct"))
			t.Log(err)
		})
	}
}

// The second session only guards the lock: a job that kills idle sessions must not end a
// long migration with it.
func TestTheLossOfTheSecondSessionDoesNotEndTheMigration(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	cc, o := account(t)
	done := background(t, cc, passGate+hundredfold)
	o.waitAtGate(1, nil)
	o.terminate(theTurn)
	o.openGate()
	require.NoError(t, <-done)
	require.Equal(t, 10000, value[int](o, "select cents from acct"))
	require.Equal(t, 1, value[int](o, "select count(*) from onepool.shop_sums"))
}

// The two losses together: the session gave the lock up, and the second one is killed.
func TestAMigrationThatLetAnotherProcessInEnds(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	cc, o := account(t)
	done := background(t, cc, "-- +goose NO TRANSACTION\n-- +goose StatementBegin\n"+
		"do $$ begin perform pg_advisory_unlock_all(); perform pg_advisory_xact_lock_shared(7); end $$;\n-- +goose StatementEnd\n"+hundredfold)
	o.waitAtGate(1, nil)
	o.terminate(theTurn)
	require.True(t, value[bool](o, "select pg_try_advisory_lock($1)", int64(0x6f6e65706f6f6c)),
		"a process that migrates too")
	o.openGate()
	err := <-done
	require.ErrorContains(t, err, "gave up the migrations' lock")
	require.Equal(t, 100, value[int](o, "select cents from acct"))
}

func TestAWaitForAnotherProcessEndsWithItsContext(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	cc, o := account(t)
	cc.RuntimeParams["application_name"] = "the first"
	done := background(t, cc, passGate+hundredfold)
	o.waitAtGate(1, nil)
	pid := value[int](o,
		"select pid from pg_stat_activity where application_name = 'the first' and wait_event = 'advisory'")

	other := cc.Copy()
	other.RuntimeParams["application_name"] = "the second"
	ctx, cancel := context.WithCancel(t.Context())
	core, logs := newObserver()
	waits := make(chan error, 1)
	go func() { waits <- migrate.Up(ctx, other, zap.New(core), source(one(passGate+hundredfold))) }()
	o.waitFor(logged(logs, "another process migrates"), "select false")
	cancel()
	err := <-waits
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, `application_name "the first"`)
	require.Equal(t, 1, logs.Len(), "one line for a wait")
	said := logs.All()[0].ContextMap()
	require.EqualValues(t, pid, said["pid"], "of the session that migrates")
	require.Equal(t, "the first", said["application_name"])
	o.waitFor(nil, "select not exists (select from pg_stat_activity where application_name = 'the second')")

	// An administrator ends the waiting process's sessions, too.
	go func() { waits <- migrate.Up(t.Context(), other, zap.NewNop(), source(one(passGate+hundredfold))) }()
	o.waitFor(nil, "select exists (select from pg_stat_activity"+
		" where application_name = 'the second' and query like '%pg_try_advisory_lock%')")
	o.exec("select pg_terminate_backend(pid, 60000) from pg_stat_activity where application_name = 'the second'")
	err = <-waits
	require.ErrorContains(t, err, "wait for another process's migrations")
	var failed *migrate.Error
	require.NotErrorAs(t, err, &failed, "no migration failed")

	o.openGate()
	require.NoError(t, <-done)
	require.Equal(t, 10000, value[int](o, "select cents from acct"))
}

// A start that is cancelled ends its statement on the server, too: what went on being
// built would be there at the next start, and not recorded.
func TestACancelledMigrationEndsOnTheServer(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	cc, o := account(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- migrate.Up(ctx, cc, zap.NewNop(), source(one(hundredfold+passGate))) }()
	o.waitAtGate(1, nil)
	cancel()
	err := <-done
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "00001_a.sql")
	o.waitFor(nil, "select "+atGate+" = 0")
	require.Equal(t, 100, value[int](o, "select cents from acct"))
	o.openGate()
	require.NoError(t, up(t, cc, one(hundredfold+passGate)))
	require.Equal(t, 10000, value[int](o, "select cents from acct"))
}
