package migrate_test

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/internal/migrate"
	"github.com/agentagency/onepool/internal/testing/size"
)

// migrator applies one source's migrations, as one replica of an application does.
type migrator func(ctx context.Context, cc *pgx.ConnConfig, fsys fs.FS, log *zap.Logger) error

func onepool(ctx context.Context, cc *pgx.ConnConfig, fsys fs.FS, log *zap.Logger) error {
	return migrate.Up(ctx, cc, log, source(fsys))
}

// plainGoose is the control: goose's own session locker, on a *sql.DB as users open it.
func plainGoose(ctx context.Context, cc *pgx.ConnConfig, fsys fs.FS, log *zap.Logger) error {
	db := sql.OpenDB(stdlib.GetConnector(*cc))
	defer db.Close()
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 600))
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, fsys, goose.WithSessionLocker(waiting{locker, log}),
		goose.WithTableName("shop_versions"), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return err
	}
	_, err = p.Up(ctx)
	return err
}

// waiting says when goose asks for its lock.
type waiting struct {
	lock.SessionLocker
	log *zap.Logger
}

func (w waiting) SessionLock(ctx context.Context, conn *sql.Conn) error {
	w.log.Info("goose asks for its lock")
	return w.SessionLocker.SessionLock(ctx, conn)
}

var migrators = map[string]struct {
	up       migrator
	versions string
	waits    string // its log line when another replica holds the lock
}{
	"onepool": {onepool, "onepool.shop_versions", "another process migrates"},
	"goose":   {plainGoose, "shop_versions", "goose asks"},
}

func logged(logs *observer.ObservedLogs, text string) func() bool {
	return func() bool {
		return logs.Filter(func(e observer.LoggedEntry) bool { return strings.Contains(e.Message, text) }).Len() > 0
	}
}

const hundredfold = "update public.acct set cents = cents * 100;\n"

// account is a database with one account of 100 cents and a gate that is closed.
func account(t *testing.T) (*pgx.ConnConfig, session) {
	t.Helper()
	cc := database(t)
	o := observe(t, cc)
	o.exec("create table acct (cents bigint); insert into acct values (100)")
	o.closeGate()
	return cc, o
}

// The two replicas of the tests below start one after the other: the second when the
// first stands at the gate. Whoever lets the second migrate too multiplies twice.
func TestTwoReplicasMigrateOnce(t *testing.T) {
	t.Parallel()
	begin := "-- +goose Up\n"
	kill := func(o session) { o.t.Logf("killed %d", o.killIdle()) }
	outside := "-- +goose NO TRANSACTION\n" + begin
	for name, c := range map[string]struct {
		text    string
		disturb func(session) // what happens while the first stands at the gate
		foreign bool          // goose does not keep this promise: no control
	}{
		"undisturbed":                         {text: begin + passGate + hundredfold},
		"an administrator kills what is idle": {text: begin + passGate + hundredfold, disturb: kill},
		"the same outside a transaction":      {text: outside + passGate + hundredfold, disturb: kill},
		// goose's second replica idles between two looks at the lock, and is ended itself.
		"the server ends what is idle": {
			text:    begin + passGate + hundredfold,
			disturb: func(o session) { o.exec("select pg_sleep(0.3)") },
			foreign: true,
		},
		"DISCARD ALL":        {text: outside + "discard all;\n" + passGate + hundredfold, foreign: true},
		"all locks given up": {text: begin + "select pg_advisory_unlock_all();\n" + passGate + hundredfold, foreign: true},
		"all locks given up in one statement outside": {
			text: outside + "-- +goose StatementBegin\ndo $$ begin perform pg_advisory_unlock_all();\n" +
				"perform pg_advisory_xact_lock_shared(7); update public.acct set cents = cents * 100; end $$;\n-- +goose StatementEnd\n",
			foreign: true,
		},
	} {
		for by, m := range migrators {
			if by == "goose" && size.Of(true, c.foreign, c.foreign) {
				continue
			}
			t.Run(name+" by "+by, func(t *testing.T) {
				t.Parallel()
				cc, o := account(t)
				if name == "the server ends what is idle" {
					o.exec(fmt.Sprintf("alter database %s set idle_session_timeout = '50ms'", cc.Database))
				}
				fsys := files(c.text)
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				errs := make(chan error, 2)
				go func() { errs <- m.up(ctx, cc, fsys, zap.NewNop()) }()
				o.waitAtGate(1, nil)
				if c.disturb != nil {
					c.disturb(o)
				}
				core, logs := newObserver()
				go func() { errs <- m.up(ctx, cc, fsys, zap.New(core)) }()
				o.waitAtGate(2, logged(logs, m.waits))
				require.Equal(t, 1, value[int](o, "select "+atGate), "the second migrates beside the first")
				o.openGate()
				require.NoError(t, <-errs)
				require.NoError(t, <-errs)
				require.Equal(t, 10000, value[int](o, "select cents from acct"))
				require.Equal(t, 1, value[int](o, "select count(*) from "+m.versions+" where version_id = 1"))
			})
		}
	}
}

func newObserver() (zapcore.Core, *observer.ObservedLogs) { return observer.New(zap.InfoLevel) }

// CREATE INDEX CONCURRENTLY waits for every snapshot that is older: a replica that
// waited for the lock in one statement would hold one, and neither would ever go on.
func TestAReplicaThatWaitsDoesNotHoldUpAnIndexBuild(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	for by, m := range migrators {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			cc, o := account(t)
			fsys := fstest.MapFS{
				"00001_gate.sql": {Data: []byte("-- +goose Up\n" + passGate)},
				"00002_index.sql": {Data: []byte("-- +goose NO TRANSACTION\n-- +goose Up\n" +
					"create index concurrently acct_cents on public.acct (cents);\n")},
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience/3)
			defer cancel()
			errs := make(chan error, 2)
			core, logs := newObserver()
			go func() { errs <- m.up(ctx, cc, fsys, zap.NewNop()) }()
			o.waitAtGate(1, nil)
			go func() { errs <- m.up(ctx, cc, fsys, zap.New(core)) }()
			// A wait in one statement says nothing: the server knows of it.
			o.waitFor(logged(logs, m.waits), "select exists (select from pg_stat_activity"+
				" where datname = current_database() and query like 'select pg_advisory_lock(%' and wait_event = 'advisory')")
			began := time.Now()
			o.openGate()
			require.NoError(t, <-errs)
			require.NoError(t, <-errs)
			t.Logf("both were done after %s", time.Since(began).Round(time.Millisecond))
			require.True(t, value[bool](o, "select indisvalid from pg_index where indexrelid = 'acct_cents'::regclass"))
		})
	}
}

// The pool's lock_timeout is for its statements: a start may wait longer for another
// replica.
func TestTheWaitForAnotherReplicaKnowsNoLockTimeout(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	cc, o := account(t)
	limited := cc.Copy()
	limited.RuntimeParams["lock_timeout"] = "50"
	fsys := files("-- +goose Up\nset lock_timeout = 0;\n" + passGate + hundredfold)
	errs := make(chan error, 2)
	core, logs := newObserver()
	go func() { errs <- up(t, cc, fsys) }()
	o.waitAtGate(1, nil)
	go func() { errs <- migrate.Up(t.Context(), limited, zap.New(core), source(fsys)) }()
	o.waitFor(func() bool { return len(errs) > 0 || logged(logs, "another process migrates")() }, "select false")
	o.exec("select pg_sleep(0.2)") // four times the limit
	o.openGate()
	require.NoError(t, <-errs)
	require.NoError(t, <-errs)
	require.Equal(t, 10000, value[int](o, "select cents from acct"))
}
