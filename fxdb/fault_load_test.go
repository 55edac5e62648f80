package fxdb_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant"
)

// What the fault tests put on a pool, and what it is called on the server.
const (
	faultApp  = "fault"
	faultPool = 20
	faultRows = 100
)

// faultTables has one table with policies, one without, and one for writes. Nothing
// there keeps an id from being written twice.
var faultTables = fstest.MapFS{"00001_faults.sql": {Data: []byte(`-- +goose Up
create schema faults;
create table faults.open (tenant_id text, id int, body text, primary key (tenant_id, id));
create table faults.closed (like faults.open including all);
create table faults.written (id bigint not null);
insert into faults.open select t, n, t || ' ' || n from unnest(array['acme', 'globex']) t, generate_series(1, 100) n;
insert into faults.closed table faults.open;
alter table faults.closed enable row level security;
create policy tenant_isolation on faults.closed
	using (tenant_id = nullif((select current_setting('app.current_tenant', true)), ''));
-- +goose Down
drop schema faults cascade;
`)}}

// faultServer is what a fault is made on.
type faultServer interface {
	URL() string
	DatabaseURL(role, database string) string
	Admin(t testing.TB, fn func(*pgx.Conn))
}

// load is a busy application: readers whose statements may run twice, some of them a
// tenant's, and writers whose statements may not. None of them has a deadline.
type load struct {
	db    *fxdb.DB
	admin string // connection string of the database's administrator

	stop       chan struct{}
	giveUp     context.CancelFunc // ends the calls
	all        sync.WaitGroup
	ids        atomic.Int64
	lastAnswer atomic.Int64 // unix ns
	gap        atomic.Int64 // longest time without a read that came back
	longest    atomic.Int64 // longest call
	reads      atomic.Int64
	most       atomic.Int64   // connections that the pool has had at once
	mostThere  atomic.Int64   // the same by the server's account
	callers    []atomic.Int64 // when the last call that came back began, unix ns

	// The server learns later than the pool that a connection is lost.
	serverLags bool

	mu       sync.Mutex
	readErrs []error
	acked    []int64
	failed   map[int64]error
}

// noLeaks checks when the test has ended, its servers too, that no goroutine is left.
// It is for tests that are not parallel, and comes first in them.
func noLeaks(t *testing.T) {
	t.Helper()
	now := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, now) })
}

// startLoad puts the load on a pool of 20 and returns when it runs at full strength: more
// callers than connections.
func startLoad(t *testing.T, s faultServer, change ...func(*fxdb.Config)) *load {
	t.Helper()
	s.Admin(t, func(c *pgx.Conn) {
		for _, sql := range []string{
			"create database faults owner " + devdb.RoleOwner,
			// What was acknowledged must be there after a crash; devdb's servers trade that for speed.
			"alter database faults set synchronous_commit = on",
		} {
			_, err := c.Exec(t.Context(), sql)
			require.NoError(t, err)
		}
	})
	cfg := fxdb.Config{
		URL: s.DatabaseURL(devdb.RoleApp, "faults"), PoolMin: faultPool, PoolMax: faultPool, ApplicationName: faultApp,
		Migrate: true, MigrateURL: s.DatabaseURL(devdb.RoleOwner, "faults"),
	}
	for _, c := range change {
		c(&cfg)
	}
	db, err := fxdb.Open(within(t), cfg, fxdb.WithMigrations("faults", faultTables))
	require.NoError(t, err)
	readers, writers := size.Of(24, 24, 64), size.Of(8, 8, 16)
	calls, giveUp := context.WithCancel(t.Context())
	l := &load{
		db: db, admin: s.DatabaseURL("postgres", "faults"), stop: make(chan struct{}), giveUp: giveUp, failed: make(map[int64]error),
		callers: make([]atomic.Int64, readers+writers),
	}
	t.Cleanup(func() {
		l.halt()
		require.NoError(t, db.Close(t.Context()))
	})
	for i := range l.callers {
		ctx := calls
		if i%2 == 0 {
			ctx = tenant.NewContext(ctx, tenant.Identity{Tenant: "acme"})
		}
		do := l.write
		if i < readers {
			ctx, do = fxdb.Idempotent(ctx), l.read
		}
		l.all.Go(func() { l.repeat(ctx, &l.callers[i], i%2 == 0, do) })
	}
	l.all.Go(l.count)
	l.awaitAll(t, time.Now())
	return l
}

// halt waits for the calls that are under way. Those that hang fail.
func (l *load) halt() {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	hang := time.AfterFunc(patience, l.giveUp)
	l.all.Wait()
	hang.Stop()
	l.giveUp()
}

func (l *load) repeat(ctx context.Context, last *atomic.Int64, tenant bool, do func(ctx context.Context, tenant bool, n int) bool) {
	for n := 0; ; n++ {
		select {
		case <-l.stop:
			return
		default:
		}
		began := time.Now()
		ok := do(ctx, tenant, n)
		raise(&l.longest, int64(time.Since(began)))
		if ok {
			last.Store(began.UnixNano())
		}
	}
}

func (l *load) read(ctx context.Context, tenant bool, n int) bool {
	sql, id := "select body from faults.open where tenant_id = 'globex' and id = $1", n%faultRows+1
	want := fmt.Sprintf("globex %d", id)
	if tenant {
		sql, want = "select body from faults.closed where id = $1", fmt.Sprintf("acme %d", id)
	}
	var body string
	err := l.db.QueryRow(ctx, sql, id).Scan(&body)
	if err == nil && body != want {
		err = fmt.Errorf("read %q, want %q", body, want)
	}
	l.reads.Add(1)
	if err != nil {
		l.mu.Lock()
		l.readErrs = append(l.readErrs, err)
		l.mu.Unlock()
		return false
	}
	now := time.Now().UnixNano()
	if before := l.lastAnswer.Swap(now); before > 0 {
		raise(&l.gap, now-before)
	}
	return true
}

func (l *load) write(ctx context.Context, _ bool, _ int) bool {
	id := l.ids.Add(1)
	_, err := l.db.Exec(ctx, "insert into faults.written (id) values ($1)", id)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.failed[id] = err
		return false
	}
	l.acked = append(l.acked, id)
	return true
}

func raise(most *atomic.Int64, n int64) {
	for {
		m := most.Load()
		if n <= m || most.CompareAndSwap(m, n) {
			return
		}
	}
}

// count looks how many connections the pool has on the server, by the server's own
// account, whenever that answers.
func (l *load) count() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var looking sync.WaitGroup
	defer looking.Wait()
	looking.Go(func() {
		<-l.stop
		cancel()
	})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var conn *pgx.Conn
	defer func() {
		if conn != nil {
			conn.PgConn().Conn().Close()
		}
	}()
	for {
		select {
		case <-l.stop:
			return
		case <-tick.C:
		}
		raise(&l.most, int64(l.db.Stats().Total))
		var n int64
		var err error
		if conn == nil || conn.IsClosed() {
			if conn, err = pgx.Connect(ctx, l.admin); err != nil {
				conn = nil
				continue
			}
		}
		err = conn.QueryRow(ctx, `select count(*) from pg_stat_activity
			where application_name = $1 or application_name like $1 || '/%' and application_name <> $1 || '/health'`, faultApp).Scan(&n)
		if err == nil {
			raise(&l.mostThere, n)
		}
	}
}

// awaitAll waits until every caller has made a call after that moment that came
// back well.
func (l *load) awaitAll(t *testing.T, after time.Time) {
	t.Helper()
	require.Eventually(t, func() bool {
		for i := range l.callers {
			if l.callers[i].Load() < after.UnixNano() {
				return false
			}
		}
		return true
	}, patience, time.Millisecond, "not every caller gets answers")
}

// during makes the fault several times, each time waits until everybody works
// again, and prints the line of the table.
func (l *load) during(t *testing.T, name string, times int, fault func()) {
	t.Helper()
	reads, ids := l.reads.Load(), l.ids.Load()
	var writes, gap, longest []string
	for range times {
		l.awaitAll(t, time.Now())
		before := l.failures()
		l.gap.Store(0)
		l.longest.Store(0)
		fault()
		l.awaitAll(t, time.Now())
		failed := l.failures() - before
		require.LessOrEqual(t, failed, faultPool, "more writes failed than can have been on their way")
		writes, gap, longest = append(writes, strconv.Itoa(failed)), append(gap, seconds(&l.gap)), append(longest, seconds(&l.longest))
	}
	l.mu.Lock()
	readErrs := l.readErrs
	l.readErrs = nil
	l.mu.Unlock()
	t.Logf("%s | %d of %d reads; %s of %d writes | %s s without an answer; longest call %s s", name,
		len(readErrs), l.reads.Load()-reads, strings.Join(writes, ", "), l.ids.Load()-ids, strings.Join(gap, ", "), strings.Join(longest, ", "))
	require.NoError(t, errors.Join(readErrs[:min(len(readErrs), 5)]...), "reads that may run twice")
}

// finish ends the load and judges what holds whatever the faults were.
func (l *load) finish(t *testing.T) {
	t.Helper()
	l.halt()
	require.NoError(t, errors.Join(l.readErrs...))
	t.Logf("connections of the pool at most: %d, by the server's account %d", l.most.Load(), l.mostThere.Load())
	require.LessOrEqual(t, l.most.Load(), int64(faultPool), "more connections than the pool may have")
	if !l.serverLags {
		require.LessOrEqual(t, l.mostThere.Load(), int64(faultPool), "more connections on the server than the pool may have")
	}
	l.checkWritten(t)
}

func (l *load) failures() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.failed)
}

func seconds(d *atomic.Int64) string {
	return strconv.FormatFloat(time.Duration(d.Load()).Seconds(), 'f', 2, 64)
}

// checkWritten compares what was acknowledged with what is there.
func (l *load) checkWritten(t *testing.T) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), l.admin)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), "select id, count(*) from faults.written group by id")
	require.NoError(t, err)
	there := make(map[int64]int)
	var id int64
	var n int
	_, err = pgx.ForEachRow(rows, []any{&id, &n}, func() error { there[id] = n; return nil })
	require.NoError(t, err)
	for _, id := range l.acked {
		require.Equal(t, 1, there[id], "acknowledged write %d is there that often", id)
		delete(there, id)
	}
	for id, n := range there {
		require.Contains(t, l.failed, id, "a write that nobody made")
		require.Equal(t, 1, n, "failed write %d is there that often", id)
	}
}
