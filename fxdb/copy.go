package fxdb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentagency/onepool/internal/scoped"
)

// A tenant's CopyFrom sends at most copyRows rows or copyBytes bytes in a round trip. The limit is
// copyInserts for rows that need an INSERT for each row.
const (
	copyRows    = 10_000
	copyBytes   = 8 << 20
	copyInserts = 1000
)

var errNoColumns = errors.New("fxdb: copy: no columns are named")

// CopyFrom writes all rows of src or none, and returns the number of rows. Without a
// tenant CopyFrom runs COPY. With an identity in ctx or DB_TENANT_ROLE CopyFrom inserts
// instead: the server refuses COPY FROM on a table with row-level security (SQLSTATE
// 0A000), and the policies must hold. Like COPY, CopyFrom writes given values into
// identity columns.
//
// Up to 10,000 rows or 8 MB take one round trip. The limit is 1000 rows for columns of
// arrays and of types that pgx does not know, and for values that only the server can
// convert. More rows take one round trip for each part, in one transaction. The first
// CopyFrom into a table on a connection takes one more round trip. CopyFrom of a
// transaction needs as many round trips.
//
// A connection asks once for the types of a table's columns. If a type has changed since,
// the server may refuse a copy, once.
func (db *DB) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, src pgx.CopyFromSource) (int64, error) {
	s, err := db.scopeForCopy(ctx)
	if err != nil {
		return 0, err
	}
	switch {
	case s.IsZero():
		conn, err := db.acquire(ctx, s.Identity.Tenant, forCall, 0)
		if err != nil {
			return 0, err
		}
		defer conn.Release()
		return conn.Conn().CopyFrom(ctx, table, columns, src)
	case db.inserts(s):
		return db.insertAll(ctx, s, table, columns, src)
	}
	// A source can be read only once, so a retry has no rows.
	var n int64
	_, _, err = db.attempt(ctx, pgx.TxOptions{}, false, func(tx pgx.Tx) error {
		n, err = tx.CopyFrom(ctx, table, columns, src)
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// inserts reports whether policies may hold for s. The server may then refuse COPY.
func (db *DB) inserts(s scoped.Scope) bool { return s.HasTenant() || db.core.cfg.TenantRole != "" }

// insertAll sends a single chunk with the scope, as one flight, and begins a transaction
// for further chunks.
func (db *DB) insertAll(ctx context.Context, s scoped.Scope, table pgx.Identifier, columns []string, src pgx.CopyFromSource) (n int64, err error) {
	c, err := newCopying(db, table, columns, src)
	if err != nil {
		return 0, err
	}
	conn, retry, err := c.begin(ctx, s, 0)
	if retry {
		conn, err = resendFor(ctx, db, err, func(within time.Duration) (*pgxpool.Conn, bool, error) { return c.begin(ctx, s, within) })
	}
	if err != nil {
		return 0, err
	}
	defer conn.Release()
	defer func() { c.endTrace(n, err) }()
	ctx = c.ctx
	more, err := c.fill()
	if err != nil {
		return 0, err
	}
	switch {
	case !more && c.single.Len() == 0:
		if err := c.arrays.Send(ctx, conn.Conn(), &s); err != nil {
			return 0, err
		}
		return c.n, nil
	case !more && c.arrays.Rows() == 0:
		if err := db.core.engine.SendBatch(ctx, conn, &s, &c.single).Close(); err != nil {
			return 0, err
		}
		return c.n, nil
	}
	s = db.untimed(s) // the deadline of the first chunk would be too long for the last
	begun, err := db.begin(ctx, conn.Conn(), s, pgx.TxOptions{})
	if err != nil {
		return 0, err
	}
	tx := db.transaction(conn, s, begun)
	if _, err := db.runTx(ctx, tx, false, func(pgx.Tx) error { return c.sendAll(ctx, begun, more) }); err != nil {
		return 0, err
	}
	return c.n, nil
}

// CopyFrom is [DB.CopyFrom] in the transaction. An error undoes all rows of the call. A
// tenant's transaction can go on after an error of the source.
func (t *transaction) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, src pgx.CopyFromSource) (n int64, err error) {
	if err := t.refuse(ctx); err != nil {
		return 0, err
	}
	if err := t.start(ctx); err != nil {
		return 0, err
	}
	t.opening.over = true
	if !t.inserts {
		return t.Tx.CopyFrom(ctx, table, columns, src)
	}
	c, err := newCopying(t.db, table, columns, src)
	if err != nil {
		return 0, err
	}
	ctx, endTrace := t.db.core.traced.copies(ctx, t.Tx.Conn(), c.data)
	defer func() { endTrace(n, err) }()
	var more bool
	known := t.db.core.engine.Knows(t.Conn(), c.ask)
	if known {
		if more, err = c.begun(ctx, t.Conn()); err != nil {
			return 0, err
		}
		if !more && c.single.Len() == 0 {
			if err := c.arrays.SendOrUndo(ctx, t.Conn()); err != nil {
				return 0, err
			}
			return c.n, nil
		}
	}
	err = pgx.BeginFunc(ctx, t.Tx, func(savepoint pgx.Tx) error {
		if !known {
			if more, err = c.begun(ctx, savepoint.Conn()); err != nil {
				return err
			}
		}
		return c.sendAll(ctx, savepoint, more)
	})
	if err != nil {
		return 0, err
	}
	return c.n, nil
}

// copying is a source on the way into a table, in chunks. A chunk is the rows in arrays,
// then the rows in single.
type copying struct {
	db       *DB
	src      pgx.CopyFromSource
	data     pgx.TraceCopyFromStartData
	ctx      context.Context        // from the tracers
	endTrace func(n int64, _ error) // reports the end to the tracers
	columns  int
	ask      string // the statement that asks for the types
	insert   string
	values   string
	arrays   *scoped.Arrays
	single   pgx.Batch
	n        int64 // rows that were read
	pending  bool  // the source stands at an unread row
}

func newCopying(db *DB, table pgx.Identifier, columns []string, src pgx.CopyFromSource) (*copying, error) {
	if len(columns) == 0 {
		return nil, errNoColumns
	}
	names, params := make([]string, len(columns)), make([]string, len(columns))
	for i, c := range columns {
		names[i], params[i] = pgx.Identifier{c}.Sanitize(), fmt.Sprintf("$%d", i+1)
	}
	of, into := strings.Join(names, ", "), table.Sanitize()
	return &copying{
		db: db, src: src, columns: len(columns),
		data:   pgx.TraceCopyFromStartData{TableName: table, ColumnNames: columns},
		ask:    "select " + of + " from " + into + " limit 0",
		insert: "insert into " + into + " (" + of + ") overriding system value ", // as COPY does
		values: "(" + strings.Join(params, ", ") + ")",
	}, nil
}

// begin acquires a connection and asks for the types. begin reads nothing from the source,
// so the caller may retry on a new connection.
func (c *copying) begin(ctx context.Context, s scoped.Scope, within time.Duration) (conn *pgxpool.Conn, retry bool, err error) {
	if conn, err = c.db.acquire(ctx, s.Identity.Tenant, forTransaction, within); err != nil {
		return nil, false, err
	}
	c.ctx, c.endTrace = c.db.core.traced.copies(ctx, conn.Conn(), c.data)
	if err = c.describe(c.ctx, conn.Conn(), &s); err != nil {
		defer conn.Release()
		c.endTrace(0, err)
		return nil, mayResend(ctx, conn.Conn(), err, true), err
	}
	return conn, false, nil
}

func (c *copying) describe(ctx context.Context, conn *pgx.Conn, s *scoped.Scope) (err error) {
	if c.arrays, err = c.db.core.engine.Arrays(ctx, conn, s, c.ask); err == nil {
		c.arrays.SQL = c.insert + "select * from unnest" + c.values
	}
	return err
}

// begun asks for the types and reads the first chunk, in a transaction.
func (c *copying) begun(ctx context.Context, conn *pgx.Conn) (more bool, err error) {
	if err := c.describe(ctx, conn, &scoped.Scope{}); err != nil {
		return false, err
	}
	return c.fill()
}

// fill reads the next chunk. more reports whether the source has further rows.
func (c *copying) fill() (more bool, err error) {
	for c.pending || c.src.Next() {
		if c.full() {
			c.pending = true
			return true, nil
		}
		c.pending = false
		c.n++
		values, err := c.src.Values()
		if err != nil {
			return false, err
		}
		if len(values) != c.columns {
			return false, fmt.Errorf("fxdb: copy: row %d has %d values for %d columns", c.n, len(values), c.columns)
		}
		if c.arrays.Usable && c.arrays.Add(values) {
			continue
		}
		c.arrays.Usable = false // for good: a source has its values in one form
		c.single.Queue(c.insert+"values "+c.values, slices.Clone(values)...)
	}
	return false, c.src.Err()
}

func (c *copying) full() bool {
	return c.arrays.Rows() == copyRows || c.arrays.Size() >= copyBytes || c.single.Len() == copyInserts
}

// sendAll sends the current chunk and, if more is true, the remaining chunks.
func (c *copying) sendAll(ctx context.Context, tx pgx.Tx, more bool) error {
	for {
		if err := c.arrays.Send(ctx, tx.Conn(), &scoped.Scope{}); err != nil {
			return err
		}
		if c.single.Len() > 0 {
			b := c.single
			c.single = pgx.Batch{}
			if err := tx.SendBatch(ctx, &b).Close(); err != nil {
				return err
			}
		}
		if !more {
			return nil
		}
		var err error
		if more, err = c.fill(); err != nil {
			return err
		}
	}
}
