package fxdb_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/fxdb/fxdbsql"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// The hunt: many goroutines of a few tenants and of nobody do everything at once on
// a few connections, with errors, panics, cancellations and killed backends in
// between, and look at every row that comes back. The usual size does about two thousand
// operations, a soak a hundred thousand. ONEPOOL_HUNT_SEED repeats the choices of one
// hunt (not the server's timing), ONEPOOL_HUNT_OPS makes it longer, and
// go test -fuzz NoRowReachesAnotherTenant ./fxdb looks for choices that find one.
const (
	huntConns   = 4
	huntWorkers = 16
	huntRounds  = 4 // of every operation once, before chance chooses
)

var huntTenants = []string{"acme", "globex", "initech", "umbrella", "hooli", "stark", "wayne", "tyrell"}

// TestNoRowReachesAnotherTenant is not parallel: it takes what the machine has.
func TestNoRowReachesAnotherTenant(t *testing.T) {
	for _, c := range []struct {
		name, mode string
		operations int
		role       string // what a login that no policy holds takes
	}{
		{"cache_statement", "cache_statement", size.Of(400, 1000, 40_000), ""},
		{"cache_describe", "cache_describe", size.Of(0, 0, 20_000), ""},
		{"exec", "exec", size.Of(0, 400, 20_000), ""},
		{"DB_TENANT_ROLE", "cache_statement", size.Of(0, 400, 20_000), devdb.RoleApp},
	} {
		if c.operations == 0 {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			base := huntGround(t)
			u, err := url.Parse(base.Pool().Config().ConnString())
			require.NoError(t, err)
			if c.role != "" {
				u = asSuperuser(t, base)
			}
			q := u.Query()
			q.Set("default_query_exec_mode", c.mode)
			u.RawQuery = q.Encode()
			db, err := fxdb.Open(t.Context(), fxdb.Config{URL: u.String(), PoolMin: huntConns, PoolMax: huntConns, NestedAcquire: "off", TenantRole: c.role},
				fxdb.WithRawPool(fxdb.RawPoolSession))
			require.NoError(t, err)
			defer db.Close(context.WithoutCancel(t.Context()))
			hunt(t, c.operations, append(huntModes, pgx.QueryExecModeCacheStatement), db)
			requireNothingLeft(t, db)
		})
	}
}

// FuzzNoRowReachesAnotherTenant hunts with the fuzzer's choices, each time on a pool
// whose connections nobody has had before.
func FuzzNoRowReachesAnotherTenant(f *testing.F) {
	for seed := range uint64(size.Of(0, 1, 4)) {
		f.Add(seed, uint16(500))
	}
	f.Fuzz(func(t *testing.T, seed uint64, operations uint16) {
		base := huntGround(t)
		db, err := fxdb.Open(t.Context(), fxdb.Config{URL: base.Pool().Config().ConnString(), PoolMin: 1, PoolMax: huntConns, NestedAcquire: "off"},
			fxdb.WithRawPool(fxdb.RawPoolSession))
		require.NoError(t, err)
		defer db.Close(context.WithoutCancel(t.Context()))
		huntBy(t, seed, int(operations), append(huntModes, pgx.QueryExecModeCacheStatement), db)
		requireNothingLeft(t, db)
	})
}

// huntGround is a database with one row for every worker in every tenant. The rows
// of a worker have the same id, so that a statement that runs as another tenant
// finds one.
func huntGround(t testing.TB) *fxdb.DB {
	t.Helper()
	db := notesDB(t, testkit.Config(one))
	_, err := testkit.OwnerPool(t, db).Exec(t.Context(), `
		alter table notes.notes alter column id restart with 1000;
		alter table notes.notes no force row level security;
		insert into notes.notes (tenant_id, id, body) overriding system value
			select name, id, name || '/' || id || '/own' from unnest(string_to_array('`+strings.Join(huntTenants, ",")+`', ',')) name, generate_series(1, `+strconv.Itoa(huntWorkers)+`) id;
		alter table notes.notes force row level security;
		insert into notes.plain values (1, 'taken'); analyze notes.notes;`)
	require.NoError(t, err)
	return db
}

// huntModes are the exec modes that statements may ask for everywhere.
var huntModes = []pgx.QueryExecMode{pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol}

// hunt does the operations, on any of the pools.
func hunt(t *testing.T, operations int, modes []pgx.QueryExecMode, dbs ...*fxdb.DB) {
	t.Helper()
	seed := rand.Uint64()
	if s := os.Getenv("ONEPOOL_HUNT_SEED"); s != "" {
		var err error
		seed, err = strconv.ParseUint(s, 10, 64)
		require.NoError(t, err, "ONEPOOL_HUNT_SEED")
	}
	if s := os.Getenv("ONEPOOL_HUNT_OPS"); s != "" {
		var err error
		operations, err = strconv.Atoi(s)
		require.NoError(t, err, "ONEPOOL_HUNT_OPS")
	}
	t.Logf("ONEPOOL_HUNT_SEED=%d", seed)
	done, rows, lost := huntBy(t, seed, operations, modes, dbs...)
	for i, op := range huntOperations {
		require.NotZero(t, done[i], "%s never succeeded", op.name)
	}
	require.Greater(t, rows, int64(operations)/2)
	require.Less(t, lost, int64(operations)/20)
}

// huntBy does them by the choices of a seed. It returns how often each kind succeeded,
// how many rows were looked at, and how many operations were cancelled or cut off.
func huntBy(t *testing.T, seed uint64, operations int, modes []pgx.QueryExecMode, dbs ...*fxdb.DB) (succeeded []int64, looked, cut int64) {
	t.Helper()
	var handles []*fxdb.DB
	doors := make(map[*fxdb.DB]*sql.DB)
	for _, db := range dbs {
		for _, db := range []*fxdb.DB{db, db.Named("orders"), db.Named("reports", fxdb.Timeouts(fxdb.ServerTimeouts{Statement: time.Minute}))} {
			handles, doors[db] = append(handles, db), fxdbsql.Open(db)
			defer doors[db].Close()
		}
	}
	var left, rows, lost atomic.Int64
	left.Store(int64(operations))
	done := make([]atomic.Int64, len(huntOperations))
	var wg sync.WaitGroup
	for id := range huntWorkers {
		wg.Go(func() {
			h := &hunter{id: id + 1, rnd: rand.New(rand.NewPCG(seed, uint64(id))), modes: modes, rows: &rows}
			for !t.Failed() {
				n := int(left.Add(-1))
				if n < 0 {
					return
				}
				op := h.next(t.Context(), handles)
				if done := operations - 1 - n; done < huntRounds*len(huntOperations) {
					op = done % len(huntOperations)
				}
				h.door = doors[h.db]
				err := huntOperations[op].do(h)
				h.cancel()
				switch {
				case err == nil:
					done[op].Add(1)
				case isLost(err) || h.impatient && isCancelled(err):
					lost.Add(1)
				default:
					t.Errorf("%s of worker %d as %q: %v", huntOperations[op].name, h.id, h.tenant, err)
				}
			}
		})
	}
	wg.Wait()
	var opened int64
	for _, db := range dbs {
		opened += db.Stats().Opened
		require.Eventually(t, func() bool { return db.Stats().Active == 0 }, patience, time.Millisecond, "connections were not given back")
	}
	t.Logf("%d operations, %d rows looked at, %d connections opened, %d operations cancelled or cut off", operations, rows.Load(), opened, lost.Load())
	for i := range done {
		succeeded = append(succeeded, done[i].Load())
	}
	return succeeded, rows.Load(), lost.Load()
}

// hunter is one of the hunt's goroutines.
type hunter struct {
	id    int
	rnd   *rand.Rand
	modes []pgx.QueryExecMode
	rows  *atomic.Int64

	db        *fxdb.DB
	door      *sql.DB // the same by database/sql
	ctx       context.Context
	cancel    context.CancelFunc
	impatient bool   // ctx may end at any moment
	tenant    string // empty: nobody
	settings  string // what the server must have
}

// next chooses who asks, how and for what.
func (h *hunter) next(ctx context.Context, handles []*fxdb.DB) (op int) {
	h.db = handles[h.rnd.IntN(len(handles))]
	h.tenant, h.settings = "", "/"
	if n := h.rnd.IntN(len(huntTenants) + 2); n < len(huntTenants) {
		who := tenant.Identity{Tenant: huntTenants[n]}
		if h.rnd.IntN(2) == 0 {
			who.User = "user " + strconv.Itoa(h.id)
		}
		h.tenant, h.settings = who.Tenant, who.Tenant+"/"+who.User
		ctx = tenant.NewContext(ctx, who)
	} else if n == len(huntTenants) {
		ctx = tenant.System(ctx, "hunt")
	}
	h.impatient = h.rnd.IntN(200) == 0
	if h.impatient {
		h.ctx, h.cancel = context.WithTimeout(ctx, time.Duration(h.rnd.IntN(1500))*time.Microsecond)
	} else {
		h.ctx, h.cancel = context.WithTimeout(ctx, patience)
	}
	n := h.rnd.IntN(huntWeights)
	for n >= huntOperations[op].weight {
		n -= huntOperations[op].weight
		op++
	}
	return op
}

// options begin a statement's arguments, now and then, with an exec mode.
func (h *hunter) options(args ...any) []any {
	if h.rnd.IntN(4) == 0 {
		return append([]any{h.modes[h.rnd.IntN(len(h.modes))]}, args...)
	}
	return args
}

func (h *hunter) token() string { return strconv.FormatUint(h.rnd.Uint64(), 36) }

func (h *hunter) body(rest string) string { return fmt.Sprintf("%s/%d/%s", h.tenant, h.id, rest) }

// look looks at a row of huntColumns.
func (h *hunter) look(row pgx.Row, token string) error {
	var owner, body, settings, got string
	if err := row.Scan(&owner, &body, &settings, &got); err != nil {
		return err
	}
	h.rows.Add(1)
	if h.tenant == "" || owner != h.tenant || !strings.HasPrefix(body, h.tenant+"/") || settings != h.settings || got != token {
		return fmt.Errorf("LEAK: a row of %q (%s) with settings %q, asked for with %q", owner, body, settings, h.settings)
	}
	return nil
}

// lookAtSettings looks at a row of huntSettings.
func (h *hunter) lookAtSettings(row pgx.Row, token string) error {
	var settings, got string
	if err := row.Scan(&settings, &got); err != nil {
		return err
	}
	h.rows.Add(1)
	if settings != h.settings || got != token {
		return fmt.Errorf("LEAK: settings %q, asked for with %q", settings, h.settings)
	}
	return nil
}

// lookAtAll looks at every row, and at most at so many.
func (h *hunter) lookAtAll(rows pgx.Rows, token string, most int) (n int, err error) {
	defer rows.Close()
	for n < most && rows.Next() {
		n++
		if err := h.look(rows, token); err != nil {
			return n, err
		}
	}
	rows.Close()
	return n, rows.Err()
}

// isCode expects the server to refuse with one of the codes.
func isCode(err error, codes ...string) error {
	if err == nil {
		return fmt.Errorf("no error, expected %v", codes)
	}
	if slices.Contains(codes, codeOf(err)) {
		return nil
	}
	return err
}

func isCancelled(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || codeOf(err) == "57014" ||
		errors.Is(err, sql.ErrTxDone) // database/sql rolls back at the end of the context, and says this after it
}

// isLost reports whether err says that the connection was cut.
func isLost(err error) bool {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return pgErr.Code == "57P01" || pgErr.Code == "08P01" && pgErr.Severity == "FATAL" // a pooler's words
	}
	var opErr *net.OpError
	return errors.As(err, &opErr) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, pgx.ErrTxClosed) || strings.Contains(err.Error(), "conn closed")
}

// requireNothingLeft looks at every connection of the pool.
func requireNothingLeft(t *testing.T, db *fxdb.DB) {
	t.Helper()
	require.Empty(t, db.Monitor().Holders())
	var conns []*pgxpool.Conn
	for range huntConns {
		conn, err := db.Acquire(t.Context())
		require.NoError(t, err)
		defer conn.Release()
		conns = append(conns, conn)
	}
	looked := 0
	for _, conn := range conns {
		var settings, timeout, application, session string
		var locks int
		err := conn.QueryRow(t.Context(), `select `+settingsColumn+`, current_setting('statement_timeout'), current_setting('application_name'), `+huntSession+`,
			(select count(*) from pg_locks where pid = pg_backend_pid() and locktype = 'relation' and relation = any(array['notes.notes', 'notes.plain']::regclass[]))`).
			Scan(&settings, &timeout, &application, &session, &locks)
		if err != nil && isLost(err) {
			continue // the last kill's
		}
		looked++
		require.NoError(t, err)
		require.Equal(t, "/", settings, "an identity stayed on a connection")
		require.Equal(t, "30s", timeout)
		require.NotContains(t, application, "/")
		require.Equal(t, "0 0 none", session, "a table, a cursor or a role stayed on a connection")
		require.Zero(t, locks)
		require.EqualValues(t, 'I', conn.Conn().PgConn().TxStatus())
	}
	require.Positive(t, looked)
}
