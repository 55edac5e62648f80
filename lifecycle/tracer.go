package lifecycle

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentagency/onepool/internal/backend"
)

// tracer keeps the slots true, and logs slow statements.
type tracer struct{ m *Monitor }

func (t tracer) TraceRelease(pool *pgxpool.Pool, data pgxpool.TraceReleaseData) {
	if pool == t.m.pool {
		t.m.release(data.Conn)
	}
}

func (t tracer) began(ctx context.Context, conn *pgx.Conn, sql string) {
	if s := slotOf(conn); s != nil {
		t.m.readFirst(ctx, conn, s)
		s.mu.Lock()
		s.query, s.running, s.began = sql, true, t.m.statementBegins()
		if on, changes := listens(sql); changes {
			s.listens = on
		}
		s.mu.Unlock()
	}
}

func (t tracer) ended(ctx context.Context, conn *pgx.Conn, err error) {
	backend.Of(conn).Answers(err, false)
	if s := slotOf(conn); s != nil {
		s.mu.Lock()
		s.running = false
		began, client, held := s.began, s.client, s.held
		took, slow := t.m.isSlow(began)
		s.mu.Unlock()
		if slow {
			t.m.logSlow(ctx, s, took, err)
		}
		if held && began != 0 && t.m.timesStatements.Load() {
			t.m.observeStatement(client, max(0, time.Duration(time.Now().UnixNano()-began)), err)
		}
	}
	if err == nil {
		t.m.health.lastAnswer.Store(t.m.clock.Load())
		return
	}
	t.m.lose(conn)
	t.m.failedOver(conn, err)
}

func (t tracer) TraceQueryStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	backend.Of(conn).Sends(backend.Text{SQL: data.SQL, Args: data.Args})
	t.began(ctx, conn, data.SQL)
	return ctx
}

func (t tracer) TraceQueryEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryEndData) {
	t.ended(ctx, conn, data.Err)
}

func (t tracer) TracePrepareStart(ctx context.Context, conn *pgx.Conn, data pgx.TracePrepareStartData) context.Context {
	facts := backend.Of(conn)
	facts.Sends(backend.Text{SQL: data.SQL, Prepared: true})
	facts.Prepares(data.Name, data.SQL)
	t.m.readFirst(ctx, conn, slotOf(conn))
	return ctx
}

func (t tracer) TracePrepareEnd(_ context.Context, conn *pgx.Conn, data pgx.TracePrepareEndData) {
	facts := backend.Of(conn)
	facts.Answers(data.Err, true)
	if data.Err != nil && conn.IsClosed() {
		facts.LosePreparation()
	}
}

func (t tracer) TraceBatchStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	sql := "batch"
	if data.Batch != nil && len(data.Batch.QueuedQueries) > 0 {
		// The last statement is the caller's own: a scope stands before the caller's statement,
		// but behind the BEGIN of a transaction.
		sql = data.Batch.QueuedQueries[len(data.Batch.QueuedQueries)-1].SQL
		if first := data.Batch.QueuedQueries[0].SQL; strings.HasPrefix(first, "begin") {
			sql = first
		}
		facts := backend.Of(conn)
		for _, q := range data.Batch.QueuedQueries {
			facts.Sends(backend.Text{SQL: q.SQL, Args: q.Arguments})
		}
		facts.Settle() // the error may be of a different statement
	}
	t.began(ctx, conn, sql)
	return ctx
}

func (t tracer) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (t tracer) TraceBatchEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchEndData) {
	t.ended(ctx, conn, data.Err)
}

func (t tracer) TraceCopyFromStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceCopyFromStartData) context.Context {
	t.began(ctx, conn, "copy "+data.TableName.Sanitize()+" from stdin")
	return ctx
}

func (t tracer) TraceCopyFromEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceCopyFromEndData) {
	t.ended(ctx, conn, data.Err)
}
