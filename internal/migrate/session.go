package migrate

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// errSessionLost replaces a second session for goose: the second session would not hold the
// lock.
var errSessionLost = errors.New("the session that holds the migrations' lock is lost")

// errLockLost ends a run whose session has given up the lock, after another process has taken
// the lock.
var errLockLost = errors.New("the session gave up the migrations' lock " +
	"(DISCARD ALL, pg_advisory_unlock_all, or a pooler between), and another process has the lock now")

// session is the connection of goose. A session holds the lock while open.
type session struct {
	*stdlib.Conn
	run         *run
	lockTimeout string // of transactions, in ms; no limit outside transactions

	// Of the migration that runs, or failed:
	statements []string
	failed     bool // the last of statements failed
	outside    bool // a statement of statements ran outside a transaction
}

// connector gives goose's *sql.DB a session, only once.
type connector struct {
	run     *run
	session *session
}

// Driver implements [driver.Connector].
func (c *connector) Driver() driver.Driver { return stdlib.GetDefaultDriver() }

// Connect opens the session and waits for the lock.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	if c.session != nil {
		return nil, errSessionLost
	}
	cc, err := c.run.config(ctx)
	if err != nil {
		return nil, err
	}
	for name := range c.run.unlimited {
		cc.RuntimeParams[name] = "0"
	}
	// DISCARD ALL and DEALLOCATE in a migration would drop prepared statements.
	cc.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := stdlib.GetConnector(*cc).Connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect for the migrations: %w", err)
	}
	s := &session{Conn: conn.(*stdlib.Conn), run: c.run, lockTimeout: c.run.lockTimeout}
	if err := c.run.take(ctx, s.pgx(), lockKey); err != nil {
		_ = conn.Close()
		return nil, err
	}
	c.session = s
	return s, nil
}

// open makes db open the connection.
func (c *connector) open(ctx context.Context, db *sql.DB) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	return conn.Close() // returns the connection to db
}

func (s *session) pgx() *pgx.Conn { return s.Conn.Conn() }

// lost reports whether the server, or a cancelled statement, has ended the session.
func (s *session) lost() bool { return s.pgx().IsClosed() }

// keepLock takes the lock again if the previous migration gave up the lock.
func (s *session) keepLock(ctx context.Context) error {
	var held bool
	err := s.pgx().QueryRow(ctx, fmt.Sprintf(`select case when exists (
			select from pg_catalog.pg_locks l where %s and l.granted and l.pid = pg_catalog.pg_backend_pid())
		then true else pg_catalog.pg_try_advisory_lock(%d) end`, isLock(lockKey), lockKey)).Scan(&held)
	if err == nil && !held {
		err = errLockLost
	}
	return err
}

// BeginTx sets the transaction's limit on waits for locks: an ALTER TABLE that waits holds up
// all traffic of the table.
func (s *session) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if err := s.keepLock(ctx); err != nil {
		return nil, err
	}
	tx, err := s.Conn.BeginTx(ctx, opts)
	if err != nil || s.lockTimeout == "0" {
		return tx, err
	}
	if _, err := s.pgx().Exec(ctx, "set local lock_timeout = "+s.lockTimeout); err != nil {
		return nil, errors.Join(err, tx.Rollback())
	}
	return tx, nil
}

// ExecContext keeps a migration's statements until goose has recorded the version. The record is
// the only statement with arguments.
func (s *session) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	outside := s.pgx().PgConn().TxStatus() == 'I'
	if outside {
		if err := s.keepLock(ctx); err != nil {
			return nil, err
		}
		s.outside = true
	}
	if len(args) == 0 {
		s.statements = append(s.statements, query)
	} else if s.outside && !s.run.down {
		if err := s.run.refuseInvalid(ctx, strings.Join(s.statements, "\n")); err != nil {
			return nil, err
		}
	}
	result, err := s.Conn.ExecContext(ctx, query, args)
	s.failed = err != nil && len(args) == 0
	if err == nil && len(args) > 0 {
		s.statements, s.outside = nil, false
	}
	return result, err
}
