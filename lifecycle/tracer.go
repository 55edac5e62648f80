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

// began notes the statement that runs. plain reports that sql is no LISTEN and no UNLISTEN.
func (t tracer) began(ctx context.Context, s *slot, sql string, plain bool) {
	if s.facts.CheckIsDue() {
		t.m.readFirst(ctx, s.conn, s)
	}
	s.mu.Lock()
	s.query, s.running, s.began = sql, true, 0
	if t.m.timesStatements.Load() || t.m.cfg.SlowQuery > 0 {
		s.began = t.m.statementBegins()
	}
	if !plain {
		if on, changes := listens(sql); changes {
			s.listens = on
		}
	}
	s.mu.Unlock()
}

func (t tracer) TraceQueryStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if s := slotOf(conn); s != nil {
		plain := s.facts.Sends(backend.Text{SQL: data.SQL, Args: data.Args})
		t.began(ctx, s, data.SQL, plain)
	}
	return ctx
}

// TraceQueryEnd also ends batches and copies.
func (t tracer) TraceQueryEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryEndData) {
	err := data.Err
	if s := slotOf(conn); s != nil {
		s.facts.Answers(err, false)
		s.mu.Lock()
		s.running = false
		began, client, held := s.began, s.client, s.held
		took, slow := time.Duration(0), false
		if began != 0 {
			took, slow = t.m.isSlow(began)
		}
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

func (t tracer) TracePrepareStart(ctx context.Context, conn *pgx.Conn, data pgx.TracePrepareStartData) context.Context {
	facts := backend.Of(conn)
	facts.Sends(backend.Text{SQL: data.SQL, Prepared: true})
	facts.Prepares(data.Name, data.SQL)
	if facts.CheckIsDue() {
		t.m.readFirst(ctx, conn, slotOf(conn))
	}
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
		// but after the BEGIN of a transaction.
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
	if s := slotOf(conn); s != nil {
		t.began(ctx, s, sql, false)
	}
	return ctx
}

func (t tracer) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (t tracer) TraceBatchEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchEndData) {
	t.TraceQueryEnd(ctx, conn, pgx.TraceQueryEndData{Err: data.Err})
}

func (t tracer) TraceCopyFromStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceCopyFromStartData) context.Context {
	if s := slotOf(conn); s != nil {
		t.began(ctx, s, "copy "+data.TableName.Sanitize()+" from stdin", true)
	}
	return ctx
}

func (t tracer) TraceCopyFromEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceCopyFromEndData) {
	t.TraceQueryEnd(ctx, conn, pgx.TraceQueryEndData{Err: data.Err})
}
