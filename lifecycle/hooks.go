package lifecycle

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// giveBack restores the caller's hooks and lifetimes in pc, which [pgxpool.Pool.Config]
// returns: a second pool built from pc has no hook of the monitor. pgxpool has copied the
// hooks. pgxpool reads the lifetimes when a connection opens: never before Start.
func giveBack(pc, given *pgxpool.Config) {
	pc.BeforeConnect, pc.AfterConnect, pc.PrepareConn = given.BeforeConnect, given.AfterConnect, given.PrepareConn
	pc.ShouldPing, pc.AfterRelease, pc.BeforeClose = given.ShouldPing, given.AfterRelease, given.BeforeClose
	pc.MaxConnLifetime, pc.MaxConnLifetimeJitter = given.MaxConnLifetime, given.MaxConnLifetimeJitter
}

// chainHooks puts the gate and the bookkeeping around the hooks that are set.
func chainHooks(pc *pgxpool.Config, m *Monitor) {
	given, prepare := *pc, givenPrepareConn(pc)
	m.afterConnect = given.AfterConnect
	pc.BeforeConnect = func(ctx context.Context, cc *pgx.ConnConfig) error {
		return m.beforeConnect(ctx, cc, given.BeforeConnect)
	}
	pc.AfterConnect = m.newSession
	pc.PrepareConn = func(ctx context.Context, conn *pgx.Conn) (bool, error) { return m.prepare(ctx, conn, prepare) }
	pc.ShouldPing = func(ctx context.Context, params pgxpool.ShouldPingParams) bool {
		return m.shouldPing(ctx, params, given.ShouldPing)
	}
	if m.releaseHook = given.AfterRelease != nil; m.releaseHook {
		pc.AfterRelease = m.afterRelease(given.AfterRelease)
	}
	pc.BeforeClose = func(conn *pgx.Conn) {
		m.removeSlot(conn)
		if given.BeforeClose != nil {
			given.BeforeClose(conn)
		}
	}
}

// beforeConnect decides whether the pool may connect, and prepares the configuration of the
// connection. hook is the caller's, or nil.
func (m *Monitor) beforeConnect(ctx context.Context, cc *pgx.ConnConfig, hook func(context.Context, *pgx.ConnConfig) error) error {
	// pgxpool keeps its minimum from New on. Until Start is over only Start opens
	// connections: else Start and pgxpool would open twice the minimum.
	if err := m.mayConnect(ctx); err != nil {
		return err
	}
	if err := m.mayDial(ctx); err != nil {
		return err
	}
	ctx = untilStart(ctx)
	// cc belongs to a single connection: the pool's configuration keeps the caller's dialer.
	cc.DialFunc = m.dial
	hearEnds(cc, m.cfg.Advice)
	m.yield(cc)
	if hook != nil {
		if err := hook(ctx, cc); err != nil {
			return err
		}
	}
	m.PreferAnswering(ctx, cc)
	return nil
}

// newSession checks a new session, runs the caller's AfterConnect and adds the slot.
func (m *Monitor) newSession(ctx context.Context, conn *pgx.Conn) error {
	ctx = untilStart(ctx)
	if err := m.checkFirst(ctx, conn); err != nil {
		return err
	}
	if m.afterConnect != nil {
		if err := m.afterConnect(ctx, conn); err != nil {
			return err
		}
	}
	m.addSlot(conn)
	if err := slotOf(conn).facts.Meet(ctx); err != nil {
		m.removeSlot(conn)
		return fmt.Errorf("check a new session (%s): %w", m.settings().name("Sessions"), err)
	}
	m.noticeStandby(conn)
	return nil
}

// shouldPing reports whether the pool pings an idle connection before the pool hands the
// connection out. hook is the caller's, or nil.
func (m *Monitor) shouldPing(ctx context.Context, params pgxpool.ShouldPingParams, hook func(context.Context, pgxpool.ShouldPingParams) bool) bool {
	s := slotOf(params.Conn)
	if s != nil && s.facts.CheckIsDue() && !m.pingable(ctx, params.Conn, s) {
		return false
	}
	if params.Conn.IsClosed() || m.doubted(s) {
		return true
	}
	if hook != nil {
		return hook(ctx, params)
	}
	return params.IdleDuration > time.Second // pgxpool's own
}

// givenPrepareConn returns the caller's PrepareConn, or the older BeforeAcquire in its
// place: pgxpool ignores BeforeAcquire beside the PrepareConn of the monitor.
func givenPrepareConn(pc *pgxpool.Config) prepareConn {
	beforeAcquire := pc.BeforeAcquire //nolint:staticcheck // callers may still set the older hook
	if pc.PrepareConn != nil || beforeAcquire == nil {
		return pc.PrepareConn
	}
	return func(ctx context.Context, conn *pgx.Conn) (bool, error) { return beforeAcquire(ctx, conn), nil }
}

func (m *Monitor) mayConnect(ctx context.Context) error {
	switch m.state.Load() {
	case stateNew:
		return ErrNotStarted
	case stateStarting:
		if ctx.Value(warming{}) == nil {
			return ErrNotStarted
		}
		return nil
	case stateReady:
		return nil
	}
	return m.stopError()
}

func (m *Monitor) mayAcquire(ctx context.Context) error {
	switch m.state.Load() {
	case stateNew:
		return ErrNotStarted
	case stateStarting:
		if ctx.Value(warming{}) != nil {
			return nil
		}
		if err := m.startErr.Load(); err != nil {
			if isFinal(*err) {
				return fmt.Errorf("%w (the start in the background failed for good: %w)", ErrNotStarted, *err)
			}
			return fmt.Errorf("%w (the pool connects in the background: %w)", ErrNotStarted, *err)
		}
		return ErrNotStarted
	case stateReady:
		return nil
	}
	return m.stopError()
}
