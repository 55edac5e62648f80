package fxdb_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// batchOf sends the statements and reads all results.
func batchOf(ctx context.Context, a asker, statements ...string) error {
	b := &pgx.Batch{}
	for _, sql := range statements {
		b.Queue(sql)
	}
	return a.SendBatch(ctx, b).Close()
}

func TestATenantTakesNoMoreFlightsThanNone(t *testing.T) {
	t.Parallel()
	one := func(ctx context.Context, db *fxdb.DB, sql string) error {
		var n int
		return db.QueryRow(ctx, sql, 1).Scan(&n)
	}
	for name, use := range map[string]func(ctx context.Context, db *fxdb.DB) error{
		"QueryRow": func(ctx context.Context, db *fxdb.DB) error { return one(ctx, db, "select $1::int") },
		"Query": func(ctx context.Context, db *fxdb.DB) error {
			rows, err := db.Query(ctx, "select $1::int", 1)
			if err == nil {
				rows.Close()
				err = rows.Err()
			}
			return err
		},
		"Exec": func(ctx context.Context, db *fxdb.DB) error { _, err := db.Exec(ctx, "select 1"); return err },
		"Exec with parameters": func(ctx context.Context, db *fxdb.DB) error {
			_, err := db.Exec(ctx, "select $1::int", 1)
			return err
		},
		"SendBatch": func(ctx context.Context, db *fxdb.DB) error { return batchOf(ctx, db, "select 1", "select 2") },
		"SendBatch after one that failed": func(ctx context.Context, db *fxdb.DB) error {
			if err := batchOf(ctx, db, "select 1/0"); err == nil {
				return errors.New("it did not fail")
			}
			return batchOf(ctx, db, "select 1", "select 2")
		},
		"QueryRow after one that failed": func(ctx context.Context, db *fxdb.DB) error {
			if err := one(ctx, db, "select 1/($1::int-1)"); err == nil {
				return errors.New("it did not fail")
			}
			return one(ctx, db, "select $1::int")
		},
		"QueryRow after a missing column": func(ctx context.Context, db *fxdb.DB) error {
			if err := one(ctx, db, "select missing from notes.notes where $1"); codeOf(err) != "42703" {
				return fmt.Errorf("not 42703: %w", err)
			}
			return one(ctx, db, "select $1::int")
		},
		"QueryRow after what is not allowed": func(ctx context.Context, db *fxdb.DB) error {
			if err := one(ctx, db, "select $1::int from pg_authid"); codeOf(err) != "42501" {
				return fmt.Errorf("not 42501: %w", err)
			}
			return one(ctx, db, "select $1::int")
		},
		"Begin and Rollback": func(ctx context.Context, db *fxdb.DB) error {
			tx, err := db.Begin(ctx)
			if err != nil {
				return err
			}
			return tx.Rollback(ctx)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plain, scoped := newWire(t, 0), newWire(t, 0)
			p, s := plain.open(t), scoped.open(t).Named("client")
			first := func(w *wire, db *fxdb.DB, ctx context.Context) [3]int64 {
				var n [3]int64
				for i := range n {
					n[i] = w.during(t, func() error { return use(ctx, db) })
				}
				return n
			}
			without, with := first(plain, p, t.Context()), first(scoped, s, as(t, "acme"))
			if name == "Begin and Rollback" {
				without[0]++ // BEGIN has no parameters to ask for, the scope has
			}
			for i := range with {
				require.LessOrEqual(t, with[i], without[i], "use %d: flights of three uses with a tenant %v, without %v", i+1, with, without)
			}
		})
	}
}

func TestScopeHoldsInEveryExecMode(t *testing.T) {
	t.Parallel()
	for _, mode := range []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
		pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	} {
		check := func(t *testing.T, db *fxdb.DB, options ...any) {
			t.Helper()
			acme := as(t, "acme")
			_, err := db.Exec(acme, "insert into notes.notes (body) values ($1)", append(options, mode.String())...)
			require.NoError(t, err)
			for range 2 { // new, and known
				var body, who string
				require.NoError(t, db.QueryRow(acme, "select body, current_setting('app.current_tenant') from notes.notes where body = $1", append(options, mode.String())...).Scan(&body, &who))
				require.Equal(t, mode.String()+" acme", body+" "+who)
				rows, err := db.Query(acme, "select n from generate_series(1, $1::int) n", append(options, 3)...)
				require.NoError(t, err)
				got, err := pgx.CollectRows(rows, pgx.RowTo[int])
				require.NoError(t, err)
				require.Equal(t, []int{1, 2, 3}, got)
			}
			var n int
			require.NoError(t, db.QueryRow(as(t, "globex"), "select count(*) from notes.notes where $1", append(options, true)...).Scan(&n))
			require.Zero(t, n)
			require.Error(t, db.QueryRow(acme, "select 1/$1::int", append(options, 0)...).Scan(&n))
			requireClean(t, db)
		}
		t.Run("of the pool/"+mode.String(), func(t *testing.T) {
			t.Parallel()
			param := map[pgx.QueryExecMode]string{
				pgx.QueryExecModeCacheStatement: "cache_statement", pgx.QueryExecModeCacheDescribe: "cache_describe",
				pgx.QueryExecModeDescribeExec: "describe_exec", pgx.QueryExecModeExec: "exec", pgx.QueryExecModeSimpleProtocol: "simple_protocol",
			}[mode]
			db := newWire(t, 0, func(v url.Values) { v.Set("default_query_exec_mode", param) }).open(t)
			check(t, db)
			require.NoError(t, batchOf(as(t, "acme"), db, "insert into notes.notes (body) values ('batch')", "select count(*) from notes.notes"))
			require.NoError(t, db.InTx(as(t, "acme"), pgx.TxOptions{}, func(tx pgx.Tx) error {
				var n int
				require.NoError(t, tx.QueryRow(t.Context(), "select count(*) from notes.notes where body = $1", "batch").Scan(&n))
				require.Equal(t, 1, n)
				return nil
			}))
			requireClean(t, db)
		})
		t.Run("of the statement/"+mode.String(), func(t *testing.T) {
			t.Parallel()
			check(t, notesDB(t, testkit.Config(one)), mode)
		})
	}
}

func TestScopedStatementsTakePgxsOptions(t *testing.T) {
	t.Parallel()
	db := notesDB(t, testkit.Config(one))
	acme := as(t, "acme")
	var n int
	require.NoError(t, db.QueryRow(acme, "select @n::int", pgx.NamedArgs{"n": 7}).Scan(&n))
	require.Equal(t, 7, n)
	for name, formats := range map[string]any{
		"by column": pgx.QueryResultFormats{pgx.TextFormatCode},
		"by type":   pgx.QueryResultFormatsByOID{23: pgx.TextFormatCode},
	} {
		rows, err := db.Query(acme, "select $1::int", formats, 7)
		require.NoError(t, err, name)
		require.True(t, rows.Next())
		require.EqualValues(t, pgx.TextFormatCode, rows.FieldDescriptions()[0].Format, name)
		require.Equal(t, "7", string(rows.RawValues()[0]), name)
		require.NotNil(t, rows.Conn())
		rows.Close()
		require.Equal(t, "SELECT 1", rows.CommandTag().String())
	}
	require.ErrorContains(t, db.QueryRow(acme, "select $1::int").Scan(&n), "expected 1 arguments, got 0")
	require.ErrorContains(t, db.QueryRow(acme, "select $1::int", struct{}{}).Scan(&n), "args[0]")
	require.ErrorIs(t, db.QueryRow(acme, "").Scan(&n), pgx.ErrNoRows)
	rows, err := db.Query(acme, "")
	require.NoError(t, err)
	require.False(t, rows.Next())
	require.NoError(t, rows.Err())
	var scanned pgx.RowScanner = &rowLength{}
	require.NoError(t, db.QueryRow(acme, "select 1, 2, 3").Scan(scanned))
	require.Equal(t, &rowLength{3}, scanned)
	requireClean(t, db)
}

type rowLength struct{ columns int }

func (r *rowLength) ScanRow(rows pgx.Rows) error { r.columns = len(rows.RawValues()); return nil }

func TestScopedExecTakesSeveralStatements(t *testing.T) {
	t.Parallel()
	db := notesDB(t, testkit.Config(one))
	_, err := db.Exec(as(t, "acme"), "insert into notes.notes (body) values ('a'); insert into notes.notes (body) values ('b'), (current_setting('app.current_tenant'))")
	require.NoError(t, err)
	var n int
	require.NoError(t, db.QueryRow(as(t, "acme"), "select count(*) from notes.notes where tenant_id = 'acme'").Scan(&n))
	require.Equal(t, 3, n)
	_, err = db.Exec(as(t, "acme"), "insert into notes.notes (body) values ('c'); select 1/0")
	require.Error(t, err)
	_, err = db.Exec(as(t, "acme"), "insert into notes.notes (body) values ('c'); selec")
	require.Error(t, err)
	require.NoError(t, db.QueryRow(as(t, "acme"), "select count(*) from notes.notes").Scan(&n))
	require.Equal(t, 3, n)
	requireClean(t, db)
}

func TestScopedStatementsOutliveAChangeOfTheSchema(t *testing.T) {
	t.Parallel()
	db := notesDB(t, testkit.Config(one))
	acme, owner := as(t, "acme"), testkit.Owner(t, db)
	read := func() (columns int, err error) {
		rows, err := db.Query(acme, "select * from notes.plain where id > $1", 0)
		if err != nil {
			return 0, err
		}
		columns = len(rows.FieldDescriptions())
		rows.Close()
		return columns, rows.Err()
	}
	_, err := db.Exec(acme, "insert into notes.plain (id, body) values ($1, $2)", 1, "x")
	require.NoError(t, err)
	n, err := read()
	require.NoError(t, err)
	require.Equal(t, 2, n)
	_, err = owner.Exec(t.Context(), "alter table notes.plain add column more text")
	require.NoError(t, err)
	_, err = read()
	var pgErr *pgconn.PgError
	require.ErrorAs(t, err, &pgErr, "the server refuses a plan whose result has changed, once")
	require.Equal(t, "0A000", pgErr.Code)
	n, err = read()
	require.NoError(t, err)
	require.Equal(t, 3, n)
	_, err = owner.Exec(t.Context(), "alter table notes.plain alter column id type text")
	require.NoError(t, err)
	_, _ = db.Exec(acme, "insert into notes.plain (id, body) values ($1, $2)", "2", "y")
	_, err = db.Exec(acme, "insert into notes.plain (id, body) values ($1, $2)", "3", "z")
	require.NoError(t, err, "the types of its parameters were not asked for again")
	requireClean(t, db)
}

func TestAParameterOfAnotherTypeOutlivesAChangeOfTheSchema(t *testing.T) {
	t.Parallel()
	for name, insert := range map[string]func(ctx context.Context, db *fxdb.DB, id any) error{
		"Exec": func(ctx context.Context, db *fxdb.DB, id any) error {
			_, err := db.Exec(ctx, "insert into notes.plain (id) values ($1)", id)
			return err
		},
		"SendBatch": func(ctx context.Context, db *fxdb.DB, id any) error {
			b := &pgx.Batch{}
			b.Queue("insert into notes.plain (id) values ($1)", id)
			return db.SendBatch(ctx, b).Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := notesDB(t, testkit.Config(one))
			acme, owner := as(t, "acme"), testkit.Owner(t, db)
			require.NoError(t, insert(acme, db, 1))
			for kind, id := range map[string]any{
				"text": "no number", // the server can't make the old type of it, nor pgx of the other
				"uuid using lpad(id::text, 32, '0')::uuid": [16]byte{1},
			} {
				_, err := owner.Exec(t.Context(), "truncate notes.plain; alter table notes.plain alter id type int using 1")
				require.NoError(t, err)
				_ = insert(acme, db, 1)
				_, err = owner.Exec(t.Context(), "truncate notes.plain; alter table notes.plain alter id type "+kind)
				require.NoError(t, err)
				if insert(acme, db, id) != nil { // of the old type, once
					require.NoError(t, insert(acme, db, id), kind)
				}
			}
			requireClean(t, db)
		})
	}
}

func TestADescribedStatementOutlivesAChangeOfTheSchema(t *testing.T) {
	t.Parallel()
	w := newWire(t, 0, func(v url.Values) { v.Set("default_query_exec_mode", "cache_describe") })
	db, owner := w.open(t), testkit.Owner(t, w.db)
	acme := as(t, "acme")
	const sql = "select * from notes.plain where id > $1"
	uses := map[string]func() (columns int, err error){
		"Query": func() (int, error) {
			rows, err := db.Query(acme, sql, 0)
			if err != nil {
				return 0, err
			}
			rows.Close()
			return len(rows.FieldDescriptions()), rows.Err()
		},
		"SendBatch": func() (columns int, err error) {
			b := &pgx.Batch{}
			b.Queue(sql, 0).Query(func(rows pgx.Rows) error { columns = len(rows.FieldDescriptions()); return rows.Err() })
			return columns, db.SendBatch(acme, b).Close()
		},
	}
	for name, columns := range uses {
		before, err := columns()
		require.NoError(t, err)
		_, err = owner.Exec(t.Context(), "alter table notes.plain add column "+name+" text")
		require.NoError(t, err)
		_, err = columns()
		require.NoError(t, isCode(err, "08P01"), "%s asks for the old columns, once", name)
		after, err := columns()
		require.NoError(t, err, name)
		require.Equal(t, before+1, after)
	}
	requireClean(t, db)
}

func TestAConnectionKeepsNoMoreStatementsThanItMay(t *testing.T) {
	t.Parallel()
	db := newWire(t, 0, func(v url.Values) { v.Set("statement_cache_capacity", "4") }).open(t)
	acme := as(t, "acme")
	prepared := func() (n int) {
		require.NoError(t, db.QueryRow(acme, "select count(*) from pg_prepared_statements where name like 'onepool%'").Scan(&n))
		return n
	}
	for round := range 3 {
		for i := range 10 {
			var got int
			require.NoError(t, db.QueryRow(acme, fmt.Sprintf("select %d + $1::int", i), round).Scan(&got))
			require.Equal(t, i+round, got)
		}
		require.LessOrEqual(t, prepared(), 4)
	}
	texts := make([]string, 10) // a batch may need more
	for i := range texts {
		texts[i] = fmt.Sprintf("select %d", i)
	}
	require.NoError(t, batchOf(acme, db, append(texts, texts...)...))
	require.NoError(t, batchOf(acme, db, texts...))
	_, err := db.Exec(acme, "select $1::int", 1) // the next new one drops what is too much
	require.NoError(t, err)
	require.LessOrEqual(t, prepared(), 4)
	requireClean(t, db)
}

func TestTransactionRefusesAnotherTenant(t *testing.T) {
	t.Parallel()
	user := func(name, user string) context.Context {
		return tenant.NewContext(t.Context(), tenant.Identity{Tenant: name, User: user})
	}
	for name, c := range map[string]struct {
		began, asked context.Context
		refused      bool
	}{
		"the same":           {user("acme", "u"), user("acme", "u"), false},
		"none":               {user("acme", "u"), t.Context(), false},
		"another tenant":     {user("acme", "u"), user("globex", "u"), true},
		"another user":       {user("acme", "u"), user("acme", "v"), true},
		"a tenant in a none": {t.Context(), user("acme", ""), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := notesDB(t)
			require.NoError(t, db.InTx(c.began, pgx.TxOptions{}, func(tx pgx.Tx) error {
				check := func(err error) {
					t.Helper()
					if c.refused {
						require.ErrorIs(t, err, fxdb.ErrOtherTenant)
					} else {
						require.NoError(t, err)
					}
				}
				sp, err := tx.Begin(t.Context())
				require.NoError(t, err)
				for _, tx := range []pgx.Tx{tx, sp} {
					_, err := tx.Exec(c.asked, "select 1")
					check(err)
					rows, err := tx.Query(c.asked, "select 1")
					check(err)
					rows.Close()
					var n int
					check(tx.QueryRow(c.asked, "select 1").Scan(&n))
					b := &pgx.Batch{}
					b.Queue("select 1")
					check(tx.SendBatch(c.asked, b).Close())
					inner, err := tx.Begin(c.asked)
					check(err)
					if err == nil {
						require.NoError(t, inner.Commit(t.Context()))
					}
				}
				_, err = sp.CopyFrom(c.asked, pgx.Identifier{"notes", "plain"}, []string{"id"}, pgx.CopyFromRows([][]any{{1}}))
				check(err)
				return sp.Rollback(t.Context())
			}))
			require.Zero(t, db.Stats().Active)
		})
	}
}

func TestTracersSeeScopedStatementsAsTheirCallersWroteThem(t *testing.T) {
	t.Parallel()
	seen := &recorder{}
	db, err := fxdb.Open(t.Context(), fxdb.Config{URL: urlOf(t), PoolMax: 1}, fxdb.WithTracer(seen))
	require.NoError(t, err)
	defer db.Close(context.WithoutCancel(t.Context()))
	acme := as(t, "acme")
	var n int
	require.NoError(t, db.QueryRow(acme, "select $1::int", 1).Scan(&n))
	_, err = db.Exec(acme, "select 1/0")
	require.Error(t, err)
	require.NoError(t, batchOf(acme, db, "select 2", "select 3"))
	require.Error(t, batchOf(acme, db, "select 4", "select 5/0", "select 6"))
	require.Equal(t, []string{
		"start select $1::int", "end SELECT 1 <nil>",
		"start select 1/0", "end  22012",
		"batch of 2", "of batch select 2 <nil>", "of batch select 3 <nil>", "batch end <nil>",
		"batch of 3", "of batch select 4 <nil>", "of batch select 5/0 22012", "batch end 22012",
	}, seen.lines)
}

func TestTracersSeeTheSamePreparationsWithATenantAsWithout(t *testing.T) {
	t.Parallel()
	lines := make(map[string][]string)
	for who, ctx := range map[string]context.Context{"nobody": tenant.System(t.Context(), "test"), "a tenant": as(t, "acme")} {
		seen := &preparations{}
		db, err := fxdb.Open(t.Context(), fxdb.Config{URL: urlOf(t), PoolMax: 1}, fxdb.WithTracer(seen))
		require.NoError(t, err)
		defer db.Close(context.WithoutCancel(t.Context()))
		seen.lines = nil // of the start
		for range 2 {
			var n int
			require.NoError(t, db.QueryRow(ctx, "select $1::int", 1).Scan(&n))
			rows, err := db.Query(ctx, "select $1::int", pgx.QueryExecModeCacheDescribe, 2)
			require.NoError(t, err)
			rows.Close()
			_, err = db.Exec(ctx, "select $1::int from missing", 1)
			require.Error(t, err)
			require.NoError(t, batchOf(ctx, db, "select 3")) // pgx tells nothing of those
		}
		lines[who] = seen.lines
	}
	require.Contains(t, lines["nobody"], "start select $1::int")
	require.Equal(t, lines["nobody"], lines["a tenant"])
}

// preparations writes down what a pgx tracer is told of them.
type preparations struct{ recorder }

func (p *preparations) TracePrepareStart(ctx context.Context, _ *pgx.Conn, d pgx.TracePrepareStartData) context.Context {
	p.add("start %s", d.SQL)
	return context.WithValue(ctx, preparedKey{}, d.SQL)
}

type preparedKey struct{}

func (p *preparations) TracePrepareEnd(ctx context.Context, _ *pgx.Conn, d pgx.TracePrepareEndData) {
	p.add("end %s %v %s", ctx.Value(preparedKey{}), d.AlreadyPrepared, codeOf(d.Err))
}

func (*preparations) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}
func (*preparations) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
func (*preparations) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}
func (*preparations) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (*preparations) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

// recorder writes down what a pgx tracer is told.
type recorder struct{ lines []string }

func codeOf(err error) string {
	if pgErr := (*pgconn.PgError)(nil); errors.As(err, &pgErr) {
		return pgErr.Code
	}
	return fmt.Sprint(err)
}

func (r *recorder) add(format string, args ...any) {
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

func (r *recorder) TraceQueryStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	if _, ok := tenant.FromContext(ctx); ok { // not the start's own
		r.add("start %s", d.SQL)
	}
	return ctx
}

func (r *recorder) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryEndData) {
	if _, ok := tenant.FromContext(ctx); ok {
		r.add("end %s %s", d.CommandTag, codeOf(d.Err))
	}
}

func (r *recorder) TraceBatchStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceBatchStartData) context.Context {
	r.add("batch of %d", d.Batch.Len())
	return ctx
}

func (r *recorder) TraceBatchQuery(_ context.Context, _ *pgx.Conn, d pgx.TraceBatchQueryData) {
	r.add("of batch %s %s", d.SQL, codeOf(d.Err))
}

func (r *recorder) TraceBatchEnd(_ context.Context, _ *pgx.Conn, d pgx.TraceBatchEndData) {
	r.add("batch end %s", codeOf(d.Err))
}
