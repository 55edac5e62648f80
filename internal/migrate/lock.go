package migrate

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/sethvargo/go-retry"
	"go.uber.org/zap"
)

// The advisory locks make concurrent starts take turns. The session that migrates holds the
// lock: if the session ends, the migration ends. A second session holds the turn: a migration
// may give up all locks of its own session (DISCARD ALL, pg_advisory_unlock_all), but no lock of
// the second session.
const (
	lockKey = int64(0x6f6e65706f6f6c) // "onepool"
	turnKey = int64(0x6f6e657475726e) // "oneturn"
)

// The waits between two looks at a lock with a foreign holder.
const (
	firstLook = 10 * time.Millisecond
	longLook  = 500 * time.Millisecond
)

// Lock takes the session's advisory lock key. While another session has the lock, Lock polls: a
// waiting statement would hold a snapshot, and CREATE INDEX CONCURRENTLY in the holder's session
// would wait for the end of the snapshot. No lock_timeout applies; ctx bounds the wait. busy, if
// not nil, runs once when the wait begins.
func Lock(ctx context.Context, conn *pgx.Conn, key int64, busy func()) error {
	looks := retry.WithJitterPercent(20, retry.WithCappedDuration(longLook, retry.NewExponential(firstLook)))
	for first := true; ; first = false {
		var got bool
		if err := conn.QueryRow(ctx, "select pg_catalog.pg_try_advisory_lock($1)", key).Scan(&got); err != nil || got {
			return err
		}
		if first && busy != nil {
			busy()
		}
		wait, _ := looks.Next() // this backoff has no end
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-timer.C:
		}
	}
}

// holder is the session that migrates or waits to migrate.
type holder struct {
	pid                     int
	application, user, addr string
}

func (h holder) String() string {
	return fmt.Sprintf("pid %d, application_name %q, user %q, address %q", h.pid, h.application, h.user, h.addr)
}

// take takes the lock or the turn. The log names the holder, once for all waits of the run.
func (r *run) take(ctx context.Context, conn *pgx.Conn, key int64) error {
	var who string
	err := Lock(ctx, conn, key, func() {
		h, err := findHolder(ctx, conn)
		if err != nil { // the holder released the lock, or the session is lost: the next look finds out
			return
		}
		who = " (" + h.String() + ")"
		if r.waited {
			return
		}
		r.waited = true
		r.log.Info("another process migrates this database: the start waits for the process", zap.Int("pid", h.pid),
			zap.String("application_name", h.application), zap.String("user", h.user), zap.String("address", h.addr))
	})
	if err != nil {
		return fmt.Errorf("wait for another process's migrations%s: %w", who, err)
	}
	return nil
}

// findHolder prefers the session that migrates to a session that has only the turn.
func findHolder(ctx context.Context, conn *pgx.Conn) (h holder, err error) {
	err = conn.QueryRow(ctx, `
		select l.pid, coalesce(a.application_name, ''), coalesce(a.usename::text, ''), coalesce(host(a.client_addr), '')
		from pg_catalog.pg_locks l left join pg_catalog.pg_stat_activity a using (pid)
		where (`+isLock(lockKey)+` or `+isLock(turnKey)+`) and l.granted
		order by `+isLock(lockKey)+` desc limit 1`,
	).Scan(&h.pid, &h.application, &h.user, &h.addr)
	return h, err
}

// isLock is the condition that a row l of pg_locks is this database's lock with the key.
func isLock(key int64) string {
	return fmt.Sprintf(`(l.locktype = 'advisory' and l.objsubid = 1 and l.classid = %d and l.objid = %d
		and l.database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database()))`,
		key>>32, key&0xffffffff)
}
