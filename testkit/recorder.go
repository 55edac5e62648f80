package testkit

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/tenant"
)

// sent is a statement as the test's pool sent the statement.
type sent struct {
	sql    string
	args   []any
	caller string
	as     tenant.Identity // empty for no tenant
	joins  bool            // the statement shares the round trip of the previous statement
}

// recording collects the statements of a database's pools, until the recording is stopped.
type recording struct {
	mu        sync.Mutex
	sent      []sent
	prepares  int
	tenantsOf map[*pgx.Conn]tenant.Identity // of the contexts that took the connections
	busy      map[*pgx.Conn]bool            // a statement waits for the answer
}

// recordings are the running recordings, by database. The tracer of every test's pool reads
// recordings.
var recordings struct {
	sync.RWMutex
	of map[string][]*recording
}

// record starts a recording of the database of db.
func record(t testing.TB, what string, db *fxdb.DB) (r *recording, stop func()) {
	t.Helper()
	d, ok := databaseOf(db)
	if !ok {
		t.Fatalf("testkit: %s: the *fxdb.DB is not of testkit: use testkit.DB or testkit.Swap", what)
	}
	name := d.name
	r = &recording{tenantsOf: make(map[*pgx.Conn]tenant.Identity), busy: make(map[*pgx.Conn]bool)}
	recordings.Lock()
	defer recordings.Unlock()
	if recordings.of == nil {
		recordings.of = make(map[string][]*recording)
	}
	recordings.of[name] = append(recordings.of[name], r)
	return r, func() {
		recordings.Lock()
		defer recordings.Unlock()
		var rest []*recording
		for _, other := range recordings.of[name] {
			if other != r {
				rest = append(rest, other)
			}
		}
		if recordings.of[name] = rest; rest == nil {
			delete(recordings.of, name)
		}
	}
}

// statements returns the statements until now, and the number of preparations.
func (r *recording) statements() ([]sent, int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]sent(nil), r.sent...), r.prepares
}

// recorder is the tracer of every test's pool.
type recorder struct{}

// each calls fn for each recording of the connection's database.
func (recorder) each(conn *pgx.Conn, fn func(*recording)) {
	recordings.RLock()
	defer recordings.RUnlock()
	if len(recordings.of) == 0 || conn == nil {
		return
	}
	for _, r := range recordings.of[conn.Config().Database] {
		r.mu.Lock()
		fn(r)
		r.mu.Unlock()
	}
}

func (recorder) TraceQueryStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	recorder{}.each(conn, func(r *recording) {
		// fxdb sends the BEGIN of a transaction together with the first statement.
		r.add(ctx, conn, data.SQL, data.Args, r.busy[conn])
		r.busy[conn] = true
	})
	networkOf(conn).starts(conn)
	return ctx
}

func (recorder) TraceQueryEnd(_ context.Context, conn *pgx.Conn, _ pgx.TraceQueryEndData) {
	recorder{}.each(conn, func(r *recording) { delete(r.busy, conn) })
	networkOf(conn).ends(conn)
}

// TraceAcquireStart and TraceAcquireEnd learn the tenant of a transaction: a statement in
// the transaction may have a context without the tenant.
func (recorder) TraceAcquireStart(ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireStartData) context.Context {
	return ctx
}

func (recorder) TraceAcquireEnd(ctx context.Context, _ *pgxpool.Pool, data pgxpool.TraceAcquireEndData) {
	recorder{}.each(data.Conn, func(r *recording) {
		r.tenantsOf[data.Conn], _ = tenant.FromContext(ctx)
	})
}

func (recorder) TraceBatchStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	recorder{}.each(conn, func(r *recording) {
		for i, q := range data.Batch.QueuedQueries {
			r.add(ctx, conn, q.SQL, q.Arguments, i > 0)
		}
	})
	networkOf(conn).starts(conn)
	return ctx
}

func (recorder) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (recorder) TraceBatchEnd(_ context.Context, conn *pgx.Conn, _ pgx.TraceBatchEndData) {
	networkOf(conn).ends(conn)
}

func (recorder) TraceCopyFromStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceCopyFromStartData) context.Context {
	recorder{}.each(conn, func(r *recording) { r.add(ctx, conn, "copy "+data.TableName.Sanitize()+" from stdin", nil, false) })
	return ctx
}

func (recorder) TraceCopyFromEnd(context.Context, *pgx.Conn, pgx.TraceCopyFromEndData) {}

func (recorder) TracePrepareStart(ctx context.Context, conn *pgx.Conn, _ pgx.TracePrepareStartData) context.Context {
	recorder{}.each(conn, func(r *recording) { r.prepares++ })
	networkOf(conn).prepares(conn, true)
	return ctx
}

func (recorder) TracePrepareEnd(_ context.Context, conn *pgx.Conn, _ pgx.TracePrepareEndData) {
	networkOf(conn).prepares(conn, false)
}

// add notes a statement, with the tenant of the context or of the transaction.
func (r *recording) add(ctx context.Context, conn *pgx.Conn, sql string, args []any, joins bool) {
	as, ok := tenant.FromContext(ctx)
	if !ok {
		as = r.tenantsOf[conn]
	}
	r.sent = append(r.sent, sent{sql: sql, args: args, caller: callSite(), as: as, joins: joins})
}

// firstWord returns the first word of a statement in lower case, without comments.
func firstWord(sql string) string {
	for {
		sql = strings.TrimLeft(sql, " \t\r\n(;")
		switch {
		case strings.HasPrefix(sql, "--"):
			_, sql, _ = strings.Cut(sql, "\n")
		case strings.HasPrefix(sql, "/*"):
			_, sql, _ = strings.Cut(sql, "*/")
		default:
			end := strings.IndexFunc(sql, func(r rune) bool { return !('a' <= r|' ' && r|' ' <= 'z') })
			if end < 0 {
				end = len(sql)
			}
			return strings.ToLower(sql[:end])
		}
	}
}

// layers are the packages between a program's own code and the tracer.
var layers = []string{
	"github.com/agentagency/onepool/fxdb.", "github.com/agentagency/onepool/fxdb/", "github.com/agentagency/onepool/lifecycle.",
	"github.com/agentagency/onepool/internal/", "github.com/agentagency/onepool/testkit.", "github.com/jackc/", "database/sql.", "runtime.",
}

// callSite names the function that sent the current statement.
func callSite() string {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		frame, more := frames.Next()
		if !isLayer(frame.Function) {
			return fmt.Sprintf("%s (%s:%d)", frame.Function, shortFile(frame.File), frame.Line)
		}
		if !more {
			return "a goroutine of its own"
		}
	}
}

func isLayer(function string) bool {
	for _, layer := range layers {
		if strings.HasPrefix(function, layer) {
			return true
		}
	}
	return function == ""
}

// shortFile returns the file's name after the folder's name.
func shortFile(file string) string {
	return filepath.ToSlash(filepath.Join(filepath.Base(filepath.Dir(file)), filepath.Base(file)))
}

// oneLine shortens a statement for a message.
func oneLine(sql string) string {
	sql = strings.Join(strings.Fields(sql), " ")
	const most = 200
	if runes := []rune(sql); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return sql
}
