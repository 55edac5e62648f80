package fxdb

import (
	"context"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/agentagency/onepool/internal/scoped"
	"github.com/agentagency/onepool/internal/sqllex"
)

// opening is the state of a transaction before the first statement that needs a snapshot.
// The scope is a query. The server refuses SET TRANSACTION after a query, and a LOCK after
// a query comes too late for REPEATABLE READ. So the transaction begins anew for SET
// TRANSACTION and LOCK: an opening has no work to lose.
type opening struct {
	scope      scoped.Scope
	beginQuery string   // of pgx.TxOptions
	ran        []string // sent again when the transaction begins anew
	over       bool
}

// opens splits a text into the first statements, which need no snapshot, and the rest.
// anew reports whether one of the first statements must come before any query.
func opens(sql string) (first []string, rest string, anew bool) {
	if !mayOpen(sql) {
		return nil, sql, false
	}
	if v := sqllex.Classify(sql); v.Taint&(sqllex.Unreadable|sqllex.Ambiguous) != 0 {
		return nil, sql, false
	}
	all := sqllex.Statements(sql)
	for len(all) > 0 {
		s := all[0]
		sets := s.SetsTransaction()
		switch {
		case s.Kind == sqllex.LockTable, sets:
			anew = true
		case s.Kind == sqllex.Set, s.Kind == sqllex.SetConstraints, s.Kind == sqllex.Show, s.Kind == sqllex.Savepoint:
		default:
			for i, s := range all {
				if i > 0 {
					rest += "; "
				}
				rest += s.Text
			}
			return first, rest, anew
		}
		first, all = append(first, s.Text), all[1:]
	}
	return first, "", anew
}

// mayOpen rules out most statements without the lexer.
func mayOpen(sql string) bool {
	sql = strings.TrimLeft(sql, " \t\r\n\f\v;")
	for _, word := range [...]string{"set", "reset", "lock", "show", "savepoint", "release", "rollback", "--", "/*"} {
		if beginsWith(sql, word) {
			return true
		}
	}
	return sql == ""
}

// open runs the first statements of sql if they must come before any query, and returns
// the rest of sql. A statement that needs a snapshot ends the opening.
func (t *transaction) open(ctx context.Context, sql string, args []any) (tag pgconn.CommandTag, rest string, ran bool, err error) {
	o := &t.opening
	if o.over {
		return tag, sql, false, nil
	}
	conn := t.Tx.Conn()
	o.over = true // unless the opening goes on
	if len(args) > 0 {
		if !mayOpen(sql) {
			return tag, sql, false, nil
		}
		own, left, err := scoped.Rewrite(ctx, conn, sql, args)
		if err != nil || len(left) > 0 {
			return tag, sql, false, nil //nolint:nilerr // pgx, which sends the text, returns its own error
		}
		sql = own
	}
	first, rest, anew := opens(sql)
	if len(first) == 0 && rest != "" || conn.PgConn().TxStatus() != 'T' {
		return tag, sql, false, nil
	}
	o.over = rest != "" // a text of comments needs no snapshot
	o.ran = append(o.ran, first...)
	if !anew {
		return tag, sql, false, nil
	}
	if tag, err = t.beginAnew(ctx, conn, sql); err != nil {
		o.over = true
	}
	return tag, rest, true, err
}

// beginAnew sends ROLLBACK AND CHAIN, the caller's first statements and the scope in one
// round trip, or in two if TxOptions has a BeginQuery. Only the role and the limits, which
// are constants, stand before the caller's statements.
func (t *transaction) beginAnew(ctx context.Context, conn *pgx.Conn, sql string) (tag pgconn.CommandTag, err error) {
	o, pc, tracer := &t.opening, conn.PgConn(), t.db.core.engine.Tracer
	ctx = tracer.TraceQueryStart(ctx, conn, pgx.TraceQueryStartData{SQL: sql})
	defer func() {
		if err != nil && !conn.IsClosed() && pc.TxStatus() == 'I' {
			_ = conn.Close(ctx) // the next statement would run without the transaction
		}
		tracer.TraceQueryEnd(ctx, conn, pgx.TraceQueryEndData{CommandTag: tag, Err: err})
	}()
	b := &pgconn.Batch{}
	if o.beginQuery != "" { // the chain would lose the options that the caller's text sets
		if _, err = pc.Exec(ctx, "rollback; "+o.beginQuery).ReadAll(); err != nil {
			return tag, err
		}
	} else {
		b.ExecParams("rollback and chain", nil, nil, nil, nil)
	}
	for _, set := range o.scope.Ahead() {
		b.ExecParams(set, nil, nil, nil, nil)
	}
	for _, sql := range o.ran {
		b.ExecParams(sql, nil, nil, nil, nil)
	}
	o.scope.AddTo(b)
	results := pc.ExecBatch(ctx, b)
	for results.NextResult() {
		got, _ := results.ResultReader().Close() // Close of results returns the error
		if got.String() != "" && !got.Select() { // the scope's comes last
			tag = got
		}
	}
	if err = results.Close(); err != nil {
		return pgconn.CommandTag{}, scoped.LostAfter(conn, err)
	}
	return tag, nil
}

// opened is the text in the place of a batch's statement that open has run, with the same tag.
const opened = "set local onepool.opened to ''"

// openBatch runs the first statements of b if they must come before any query, and returns the
// batch to send.
func (t *transaction) openBatch(ctx context.Context, b *pgx.Batch) (*pgx.Batch, error) {
	if t.opening.over {
		return b, nil
	}
	own := *b
	own.QueuedQueries = slices.Clone(b.QueuedQueries)
	for i, q := range b.QueuedQueries {
		if t.opening.over || len(q.Arguments) > 0 {
			break
		}
		_, rest, ran, err := t.open(ctx, q.SQL, nil)
		if err != nil {
			return b, err
		}
		if ran && rest != "" { // the server takes no text of several statements in a batch
			break
		}
		if ran && setsTransaction(q) {
			again := *q
			again.SQL = opened
			own.QueuedQueries[i] = &again
		}
	}
	t.opening.over = true
	return &own, nil
}

// noRows are the rows of a statement that returns no rows.
type noRows struct {
	pgx.Rows
	tag pgconn.CommandTag
}

func (r noRows) CommandTag() pgconn.CommandTag { return r.tag }

// Conn sends BEGIN if BEGIN is pending. Conn ends the opening: fxdb does not see the
// caller's work on the connection.
func (t *transaction) Conn() *pgx.Conn {
	t.startNow()
	t.opening.over = true
	return t.Tx.Conn()
}

// LargeObjects sends BEGIN and ends the opening, as Conn does.
func (t *transaction) LargeObjects() pgx.LargeObjects {
	t.startNow()
	t.opening.over = true
	return t.Tx.LargeObjects()
}

// setsTransaction reports whether a batch's statement must come before any query, and
// needs no right and no limit.
func setsTransaction(q *pgx.QueuedQuery) bool {
	if len(q.Arguments) > 0 || !mayOpen(q.SQL) {
		return false
	}
	all := sqllex.Statements(q.SQL)
	return len(all) == 1 && all[0].SetsTransaction()
}

func beginsWith(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
