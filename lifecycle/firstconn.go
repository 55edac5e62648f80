package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// firstConn is the start's check of the server on the first connection of the pool. A backend
// costs the server more than all statements of a start, so the start opens no connection for the
// check alone.
type firstConn struct {
	start context.Context
	began time.Time // the connect
	server
	checked bool
}

type firstConnKey struct{}

// errSettingsLater closes a connection that began before the check had found the limits that the
// role and the database set.
var errSettingsLater = errors.New("the role or the database sets limits of the connection")

// meetServer checks the server over the first connection of the pool. If a hook of the caller may
// need what BeforeReady does, the pool may not open yet, and meetServer opens a connection for the
// check alone.
func (m *Monitor) meetServer(ctx context.Context) (server, error) {
	if m.cfg.Migrates || m.afterConnect != nil {
		return m.checkAside(ctx)
	}
	start, cancel := m.boundOfConnect(ctx)
	defer cancel()
	wait, cancelWait := outlasting(start)
	defer cancelWait()
	m.pool.Reset() // a connection of a failed attempt has no check to come
	first := &firstConn{start: start, began: time.Now()}
	wait = context.WithValue(wait, firstConnKey{}, first)
	conn, err := m.Acquire(wait, Request{Client: "start"})
	if errors.Is(err, errSettingsLater) {
		conn, err = m.Acquire(wait, Request{Client: "start"})
	}
	switch {
	case err == nil:
		conn.Release()
		return first.server, nil
	case wait.Err() != nil:
		return server{}, context.Cause(wait)
	}
	return server{}, m.adviseOnParameter(err)
}

// boundOfConnect returns ctx with a deadline. The end of the pool ends the context too.
func (m *Monitor) boundOfConnect(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, bound := ctx.Deadline()
	if !bound {
		deadline = time.Now().Add(max(m.cfg.AcquireTimeout, DefaultAcquireTimeout))
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	stop := context.AfterFunc(m.closing, cancel)
	return ctx, func() { stop(); cancel() }
}

// connectErrorIn is how long a start waits, after its end, for the error of the connect: the error
// names the fault, and decides whether the start retries.
const connectErrorIn = time.Second

// outlasting returns a context that ends connectErrorIn after ctx, by the cause of ctx.
func outlasting(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, _ := ctx.Deadline()
	later, cancelLater := context.WithDeadline(context.WithoutCancel(ctx), deadline.Add(connectErrorIn))
	later, cancel := context.WithCancelCause(later)
	stop := context.AfterFunc(ctx, func() {
		time.AfterFunc(connectErrorIn, func() { cancel(context.Cause(ctx)) })
	})
	return later, func() { stop(); cancel(nil); cancelLater() }
}

// checkAside checks the server over a connection that the pool does not keep.
func (m *Monitor) checkAside(ctx context.Context) (server, error) {
	began := time.Now()
	conn, err := m.connect(ctx)
	if err != nil {
		return server{}, m.adviseOnParameter(err)
	}
	defer closeConn(conn)
	return m.checkServer(ctx, conn, began)
}

func (m *Monitor) adviseOnParameter(err error) error {
	if refusesParameter(err) {
		return fmt.Errorf("%w: behind a transaction pooler set %s", err, m.settings().name("Pooler"))
	}
	return err
}

// checkFirst checks the server if conn is the pool's first connection.
func (m *Monitor) checkFirst(ctx context.Context, conn *pgx.Conn) (err error) {
	first, _ := ctx.Value(firstConnKey{}).(*firstConn)
	if first == nil || first.checked {
		return nil
	}
	sent := m.Yielded()
	if first.server, err = m.checkServer(ctx, conn, first.began); err != nil {
		return err
	}
	first.checked = true
	if !slices.Equal(sent, m.Yielded()) {
		return errSettingsLater
	}
	return nil
}

// untilStart returns a context with the values of ctx that ends with the start, if ctx is of the
// pool's first connect: pgxpool opens a connection in a context without an end.
func untilStart(ctx context.Context) context.Context {
	if first, ok := ctx.Value(firstConnKey{}).(*firstConn); ok {
		return connectContext{first.start, ctx}
	}
	return ctx
}

// connectContext ends with the first context, and has the values of the second.
type connectContext struct {
	context.Context
	values context.Context
}

// Value returns a value of the second context.
func (c connectContext) Value(key any) any { return c.values.Value(key) }
