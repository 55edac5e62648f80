package fxdbsql_test

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"reflect"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
)

// columns are of every kind that a query may give.
var columns = []string{
	"true", "false", "null::bool", `'\x00ff'::bytea`, `''::bytea`, "null::bytea",
	"1::int2", "-2::int4", "3::int8", "9223372036854775807::int8", "null::int8", "4::oid", "'5'::xid", "'6'::cid", "'7'::xid8",
	"1.1::float4", "1e-45::float4", "1.1::float8", "'NaN'::float8", "'-Infinity'::float8",
	"1.50::numeric", "1.50::numeric(10, 4)", "'NaN'::numeric", "null::numeric", "12345678901234567890.123::numeric",
	"'text'::text", "''::text", "'v'::varchar", "'v'::varchar(9)", "'c'::char(4)", `'c'::"char"`, "'n'::name", "null::text",
	"'2026-01-02'::date", "'infinity'::date", "'2026-01-02 03:04:05.678901'::timestamp", "'-infinity'::timestamp",
	"'2026-01-02 03:04:05.678901+02'::timestamptz", "'infinity'::timestamptz", "null::timestamptz",
	"'03:04:05'::time", "'03:04:05+02'::timetz", "'1 year 2 days 03:04:05'::interval",
	"'2026-01-02 03:04:05'::timestamp(0)", "'2026-01-02 03:04:05+00'::timestamptz(3)", "'03:04:05'::time(2)", "'1 day'::interval(4)", "'1 day'::interval day",
	`'{"a": [1, 2.50]}'::json`, `'{"a": [1, 2.50]}'::jsonb`, "null::jsonb", "'null'::jsonb", "'<a/>'::xml",
	"'c5d2c3a0-1234-4321-9876-0123456789ab'::uuid", "null::uuid",
	"array[1, null, 3]", "array['a b', null, '']::text[]", "array[1.50, 2]::numeric[]", "array[[1, 2], [3, 4]]", "'{}'::int[]",
	"int4range(1, 5)", "'[2026-01-02,)'::daterange", "'{[1,3),[5,7)}'::int4multirange", "tstzrange('2026-01-02+00', null)",
	"'10.1.2.3/8'::inet", "'10.0.0.0/8'::cidr", "'08:00:2b:01:02:03'::macaddr", "'1.50'::money",
	"b'101'", "b'101'::bit(3)", "b'101'::varbit", "b'101'::varbit(9)", "'(1,2)'::point", "'((0,0),(1,1))'::box", "'a & b'::tsquery", "'a b'::tsvector",
	"row(1, 'x')", "'pg_class'::regclass", "'1/2'::pg_lsn", "'(1,2)'::tid", "pg_typeof(1)", "void_in('')",
}

// TestValuesAreThoseOfStdlib compares with pgx's own driver on the same server:
// with a tenant, without and in a transaction.
func TestValuesAreThoseOfStdlib(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	pool, db := open(t)
	std := stdlib.OpenDBFromPool(pool.Pool())
	defer std.Close()
	tx, err := db.BeginTx(as(t, "acme"), nil)
	require.NoError(t, err)
	defer tx.Rollback()

	type column struct {
		Value                                      string // its type too; NaN is not equal to itself
		Database                                   string
		Scan                                       reflect.Type
		Length, Precision, Scale                   int64
		HasLength, HasPrecision, HasNull, nullable bool
	}
	read := func(q queryer, ctx context.Context, query string, args ...any) (c column) {
		rows, err := q.QueryContext(ctx, query, args...)
		require.NoError(t, err, query)
		defer rows.Close()
		types, err := rows.ColumnTypes()
		require.NoError(t, err)
		require.Equal(t, "named", types[0].Name())
		c.Database, c.Scan = types[0].DatabaseTypeName(), types[0].ScanType()
		c.Length, c.HasLength = types[0].Length()
		c.Precision, c.Scale, c.HasPrecision = types[0].DecimalSize()
		c.nullable, c.HasNull = types[0].Nullable()
		require.True(t, rows.Next(), query)
		var value any
		require.NoError(t, rows.Scan(&value), query)
		c.Value = fmt.Sprintf("%T %v", value, value)
		require.False(t, rows.Next())
		require.NoError(t, rows.Err(), query)
		return c
	}
	for _, expr := range columns {
		query := "select " + expr + " as named"
		want := read(std, t.Context(), query)
		// Where nothing was declared stdlib reckons with the -1 that says so.
		if want.Length < 0 {
			want.Length = math.MaxInt64
		}
		if want.Precision == 0xffff {
			want.Precision, want.Scale, want.HasPrecision = 0, 0, false
		}
		for name, got := range map[string]column{
			"alone":            read(db, t.Context(), query),
			"with a tenant":    read(db, as(t, "acme"), query),
			"in a transaction": read(tx, as(t, "acme"), query),
			"as text":          read(db, as(t, "acme"), query, pgx.QueryExecModeSimpleProtocol),
		} {
			require.Equal(t, want, got, "%s, %s", expr, name)
		}
	}
}

func TestArgumentsArePgxs(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	_, db := open(t)
	for _, ctx := range []context.Context{t.Context(), as(t, "acme")} {
		var text string
		require.NoError(t, db.QueryRowContext(ctx, "select array_to_string($1::int[], ',')", []int{1, 2, 3}).Scan(&text))
		require.Equal(t, "1,2,3", text)
		require.NoError(t, db.QueryRowContext(ctx, "select @a || coalesce(@b::text, '?')", pgx.NamedArgs{"a": "x", "b": sql.NullString{}}).Scan(&text))
		require.Equal(t, "x?", text)
		require.NoError(t, db.QueryRowContext(ctx, "select $1::text", sql.Null[string]{V: "v", Valid: true}).Scan(&text))
		require.Equal(t, "v", text)
		result, err := db.ExecContext(ctx, "insert into notes.late select generate_series(100, 100 + $1)", 2)
		require.NoError(t, err)
		n, err := result.RowsAffected()
		require.NoError(t, err)
		require.EqualValues(t, 3, n)
		_, err = db.ExecContext(ctx, "delete from notes.late where id >= $1", 100)
		require.NoError(t, err)
		require.ErrorContains(t, db.QueryRowContext(ctx, "select $1::int", 1, 2).Scan(new(int)), "expected 1 arguments, got 2")
		rows, err := db.QueryContext(ctx, "")
		require.NoError(t, err)
		require.False(t, rows.Next())
		require.NoError(t, rows.Err())
	}
}
