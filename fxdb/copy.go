package fxdb

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// copyChunk is how many rows of a tenant's CopyFrom travel in one round trip.
const copyChunk = 1000

// CopyFrom writes many rows. Without a tenant it is COPY. With an identity in
// ctx or DB_TENANT_ROLE it inserts instead, in one transaction and a round trip per 1000 rows: the
// server refuses COPY FROM on a table with row-level security (SQLSTATE 0A000),
// and the policies must hold. Either all rows are written or none; it returns
// how many.
func (db *DB) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, src pgx.CopyFromSource) (int64, error) {
	s, err := db.scopeOf(ctx)
	if err != nil {
		return 0, err
	}
	if s.isZero() {
		conn, err := db.acquire(ctx, s, forCall, 0)
		if err != nil {
			return 0, err
		}
		defer conn.Release()
		return conn.Conn().CopyFrom(ctx, table, columns, src)
	}
	// A role that policies hold is refused by COPY as a tenant is.
	insert := s.tenant || db.core.cfg.TenantRole != ""
	if insert && len(columns) == 0 {
		return 0, errors.New("fxdb: copy: no columns are named")
	}
	// A source can be read once, so this must not be tried again.
	var n int64
	_, err = db.inTx(ctx, pgx.TxOptions{}, false, func(tx pgx.Tx) error {
		if !insert {
			n, err = tx.CopyFrom(ctx, table, columns, src)
			return err
		}
		n, err = insertAll(ctx, tx, insertSQL(table, columns), len(columns), src)
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

func insertSQL(table pgx.Identifier, columns []string) string {
	names := make([]string, len(columns))
	params := make([]string, len(columns))
	for i, c := range columns {
		names[i] = pgx.Identifier{c}.Sanitize()
		params[i] = fmt.Sprintf("$%d", i+1)
	}
	return fmt.Sprintf("insert into %s (%s) values (%s)", table.Sanitize(), strings.Join(names, ", "), strings.Join(params, ", "))
}

func insertAll(ctx context.Context, tx pgx.Tx, sql string, width int, src pgx.CopyFromSource) (n int64, err error) {
	for more := true; more; {
		b := &pgx.Batch{}
		for b.Len() < copyChunk {
			if more = src.Next(); !more {
				break
			}
			values, err := src.Values()
			if err != nil {
				return n, err
			}
			if len(values) != width {
				return n, fmt.Errorf("fxdb: copy: row %d has %d values for %d columns", n+int64(b.Len())+1, len(values), width)
			}
			b.Queue(sql, values...)
		}
		if b.Len() == 0 {
			break
		}
		if err := tx.SendBatch(ctx, b).Close(); err != nil {
			return n, err
		}
		n += int64(b.Len())
	}
	return n, src.Err()
}
