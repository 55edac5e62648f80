package fxdb

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/agentagency/onepool/internal/backend"
	"github.com/agentagency/onepool/internal/scoped"
	"github.com/agentagency/onepool/internal/sqllex"
)

// opening is the state of a transaction before the first statement that needs a snapshot.
// The scope is a query. The server refuses SET TRANSACTION after a query, and a LOCK after
// a query comes too late for REPEATABLE READ. So the transaction begins anew for SET
// TRANSACTION and LOCK: an opening has no work to lose. Savepoints share the opening of
// their transaction.
type opening struct {
	scope      scoped.Scope
	beginQuery string          // of pgx.TxOptions
	ran        []string        // sent again when the transaction begins anew
	savepoints []openSavepoint // the innermost comes last
	writes     uint64          // of the connection, after the last statement
	over       bool
}

// openSavepoint is a savepoint of an opening. A transaction does not begin anew in a savepoint:
// ROLLBACK TO would undo the scope.
type openSavepoint struct {
	name string       // of a text's savepoint
	of   *transaction // of Begin
	ran  int          // how many statements ran before the savepoint
}

// follow takes the statements of a text that the transaction sends. A statement that needs a
// snapshot ends the opening.
func (o *opening) follow(all []sqllex.Statement) {
	for _, s := range all {
		switch s.Kind {
		case sqllex.KindShow:
		case sqllex.KindSet, sqllex.KindSetConstraints, sqllex.KindLock, sqllex.KindNotify, sqllex.KindListen:
			o.ran = append(o.ran, s.Text)
		case sqllex.KindSavepoint:
			o.followSavepoint(s)
		default:
			o.over = true
		}
		if o.over {
			return
		}
	}
}

func (o *opening) followSavepoint(s sqllex.Statement) {
	verb, name := s.Savepoint()
	if verb == sqllex.SetSavepoint {
		o.savepoints = append(o.savepoints, openSavepoint{name: name, ran: len(o.ran)})
		return
	}
	for i, sp := range slices.Backward(o.savepoints) {
		if sp.of == nil && sp.name == name && verb != sqllex.NoSavepoint {
			o.endSavepoint(i, verb == sqllex.RollBackToSavepoint)
			return
		}
	}
	o.over = true
}

// endSavepoint releases a savepoint, or rolls back to the savepoint, which stays.
func (o *opening) endSavepoint(i int, back bool) {
	if back {
		o.ran = o.ran[:o.savepoints[i].ran]
		i++
	}
	o.savepoints = o.savepoints[:i]
}

// followFirst follows the statement that BEGIN travels with.
func (o *opening) followFirst(sql string, args []any) {
	if o.over {
		return
	}
	all, ok := statementsOf(sql)
	if !ok || len(args) > 0 {
		o.over = true
		return
	}
	o.follow(all)
}

// endSavepoint follows the end of a savepoint of Begin.
func (t *transaction) endSavepoint(back bool, err error) {
	if t.outer == nil || t.opening.over || errors.Is(err, pgx.ErrTxClosed) {
		return
	}
	i := slices.IndexFunc(t.opening.savepoints, func(sp openSavepoint) bool { return sp.of == t })
	if i < 0 || err != nil {
		t.opening.over = true
		return
	}
	t.opening.endSavepoint(i, back)
	t.mark()
}

// statementsOf returns the statements of a text, or ok = false if the text has no statement for
// an opening.
func statementsOf(sql string) (all []sqllex.Statement, ok bool) {
	if !mayOpen(sql) {
		return nil, false
	}
	if v := sqllex.Classify(sql); v.Taint&(sqllex.Unreadable|sqllex.Ambiguous) != 0 {
		return nil, false
	}
	return sqllex.Statements(sql), true
}

// mayOpen rules out most statements without the lexer.
func mayOpen(sql string) bool {
	return mustFollowBegin(sql) || beginsWithAny(sql, "notify", "listen", "unlisten")
}

// mustFollowBegin reports whether BEGIN must not travel with a text.
func mustFollowBegin(sql string) bool {
	sql = strings.TrimLeft(sql, " \t\r\n\f\v;")
	return sql == "" || beginsWithAny(sql, "set", "reset", "lock", "show", "savepoint", "release", "rollback", "--", "/*")
}

// open runs the first statements of sql, if the statements must come before any query, and
// returns the rest of sql.
func (t *transaction) open(ctx context.Context, sql string, args []any) (tag pgconn.CommandTag, rest string, ran bool, err error) {
	o, conn := t.opening, t.Tx.Conn()
	t.endOpeningIfUsed()
	if o.over {
		return tag, sql, false, nil
	}
	if _, named := backend.Of(conn).PreparedAs(sql); named || !mayOpen(sql) {
		o.over = true
		return tag, sql, false, nil
	}
	if len(args) > 0 {
		rewritten, left, err := scoped.Rewrite(ctx, conn, sql, args)
		o.over = err != nil || len(left) > 0
		if o.over {
			return tag, sql, false, nil // pgx sends the text, and returns its own error
		}
		sql = rewritten
	}
	all, ok := statementsOf(sql)
	if !ok {
		o.over = true
		return tag, sql, false, nil
	}
	first, again := 0, []string(nil)
	for i := range all {
		o.follow(all[i : i+1])
		if o.over {
			break
		}
		if (all[i].Kind == sqllex.KindLock || all[i].SetsTransaction()) && len(o.savepoints) == 0 {
			first, again = i+1, slices.Clone(o.ran)
		}
	}
	if first == 0 || conn.PgConn().TxStatus() != 'T' || t.hasEnded() {
		return tag, sql, false, nil
	}
	if tag, err = t.beginAnew(ctx, conn, sql, again); err != nil {
		o.over = true
	}
	t.mark()
	return tag, textOf(all[first:]), true, err
}

// mark notes how often the process has written to the connection, for endOpeningIfUsed.
func (t *transaction) mark() {
	if !t.opening.over {
		t.opening.writes, _ = backend.Of(t.Tx.Conn()).Writes()
	}
}

// endOpeningIfUsed ends the opening if somebody has used the connection itself: a new beginning would
// undo the work.
func (t *transaction) endOpeningIfUsed() {
	if !t.opening.over {
		writes, _ := backend.Of(t.Tx.Conn()).Writes()
		t.opening.over = writes != t.opening.writes
	}
}

// endOpeningIfUnwatched ends the opening if fxdb could not see a use of the connection.
func (t *transaction) endOpeningIfUnwatched() {
	if _, known := backend.Of(t.Tx.Conn()).Writes(); !known {
		t.opening.over = true
	}
}

func textOf(all []sqllex.Statement) string {
	texts := make([]string, len(all))
	for i, s := range all {
		texts[i] = s.Text
	}
	return strings.Join(texts, "; ")
}

// beginAnew sends ROLLBACK AND CHAIN, the first statements so far and the scope in one
// round trip, or in two if TxOptions has a BeginQuery. Only the role and the limits, which
// are constants, stand before the caller's statements.
func (t *transaction) beginAnew(ctx context.Context, conn *pgx.Conn, sql string, first []string) (tag pgconn.CommandTag, err error) {
	o, pc, tracer := t.opening, conn.PgConn(), t.db.core.engine.Tracer
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
	for _, sql := range first {
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

// opened is the text in the place of a SET TRANSACTION that open has run, with the same tag.
const opened = "set local onepool.opened to ''"

// openBatch runs the first statements of b, if the statements must come before any query, and
// returns the batch to send.
func (t *transaction) openBatch(ctx context.Context, b *pgx.Batch) (*pgx.Batch, error) {
	if t.opening.over {
		return b, nil
	}
	own := *b
	own.QueuedQueries = slices.Clone(b.QueuedQueries)
	for i, q := range b.QueuedQueries {
		t.opening.over = t.opening.over || len(q.Arguments) > 0
		if t.opening.over {
			break
		}
		_, _, ran, err := t.open(ctx, q.SQL, nil)
		if err != nil {
			return b, err
		}
		if ran {
			again := *q
			again.SQL = withoutSetTransaction(q.SQL)
			own.QueuedQueries[i] = &again
		}
	}
	return &own, nil
}

func withoutSetTransaction(sql string) string {
	all := sqllex.Statements(sql)
	for i, s := range all {
		if s.SetsTransaction() {
			all[i].Text = opened
		}
	}
	return textOf(all)
}

// followPrepare ends the opening if the statement's preparation needs a snapshot.
func (t *transaction) followPrepare(sql string) {
	t.endOpeningIfUsed()
	if all, ok := statementsOf(sql); ok && len(all) == 1 {
		var needs opening
		needs.follow(all)
		if !needs.over {
			return
		}
	}
	t.opening.over = true
}

func beginsWith(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

func beginsWithAny(s string, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return beginsWith(s, prefix) })
}
