package fxdb_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// plainPool is pgxpool itself on db's database, as the same login: the control for what
// pgx does.
func plainPool(t testing.TB, db *fxdb.DB, change ...func(*pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	pc, err := pgxpool.ParseConfig(db.Pool().Config().ConnString())
	require.NoError(t, err)
	for _, c := range change {
		c(pc)
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), pc)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// beginner is a pool that begins transactions.
type beginner interface {
	BeginTx(ctx context.Context, opts pgx.TxOptions) (pgx.Tx, error)
}

const txState = `select current_setting('transaction_isolation') || ' ' || current_setting('transaction_read_only') || ' ' ||
	current_setting('transaction_deferrable') || ' ' || (select count(*) from pg_locks where pid = pg_backend_pid() and mode = 'ShareRowExclusiveLock')`

func TestATransactionMayBeginWithWhatMustComeBeforeAnyQuery(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t)
	plain := plainPool(t, db)
	// The exporter of the snapshot sees no later note.
	exporter, err := plain.BeginTx(within(t), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	require.NoError(t, err)
	defer func() { _ = exporter.Rollback(context.WithoutCancel(t.Context())) }()
	var snapshot string
	require.NoError(t, exporter.QueryRow(within(t), "select pg_export_snapshot()").Scan(&snapshot))
	_, err = db.Exec(within(t), "insert into notes.plain values (1, 'later')")
	require.NoError(t, err)

	begin := pgx.TxOptions{}
	custom := pgx.TxOptions{BeginQuery: "begin; set local work_mem = '1MB'"}
	for name, c := range map[string]struct {
		opts   pgx.TxOptions
		first  []string // statements
		then   string
		result string // empty: an error
	}{
		"set transaction":          {begin, []string{"set transaction isolation level serializable"}, txState, "serializable off off 0"},
		"two of them":              {begin, []string{"SET TRANSACTION ISOLATION LEVEL serializable", "set transaction read only, deferrable"}, txState, "serializable on on 0"},
		"behind a comment":         {begin, []string{"/* app */ -- why\n set local transaction isolation level repeatable read;"}, txState, "repeatable read off off 0"},
		"by the setting's name":    {begin, []string{"set transaction_isolation = 'serializable'", "set local transaction_read_only to on"}, txState, "serializable on off 0"},
		"read write":               {pgx.TxOptions{AccessMode: pgx.ReadOnly}, []string{"set transaction read write"}, txState, "read committed off off 0"},
		"lock, then set":           {begin, []string{"lock table notes.plain in share row exclusive mode", "set transaction isolation level serializable"}, txState, "serializable off off 1"},
		"set local, then set":      {begin, []string{"set local work_mem = '2MB'", "set transaction isolation level serializable"}, txState, "serializable off off 0"},
		"several in one":           {begin, []string{"set transaction isolation level serializable; lock notes.plain in share row exclusive mode"}, txState, "serializable off off 1"},
		"more behind":              {begin, []string{"set transaction isolation level serializable; create temp table x () on commit drop"}, txState, "serializable off off 0"},
		"a snapshot":               {begin, []string{"set transaction isolation level repeatable read", "set transaction snapshot '" + snapshot + "'"}, "select count(*)::text from notes.plain", "0"},
		"a snapshot by options":    {pgx.TxOptions{IsoLevel: pgx.Serializable, AccessMode: pgx.ReadOnly}, []string{"show work_mem", "set transaction snapshot '" + snapshot + "'"}, "select 'x'", ""},
		"a begin query":            {custom, []string{"set transaction isolation level serializable"}, "select current_setting('work_mem') || current_setting('transaction_isolation')", "1MBserializable"},
		"a session's setting":      {begin, []string{"set work_mem = '2MB'", "reset work_mem", "set transaction isolation level serializable"}, txState, "serializable off off 0"},
		"characteristics":          {begin, []string{"set session characteristics as transaction read only", "set transaction isolation level serializable"}, txState, "serializable off off 0"},
		"behind a savepoint":       {begin, []string{"savepoint s", "release s", "set transaction isolation level serializable"}, txState, "serializable off off 0"},
		"in a savepoint":           {begin, []string{"savepoint s", "set transaction isolation level serializable"}, txState, ""},
		"behind empty texts":       {begin, []string{"", "-- nothing", "set transaction isolation level serializable"}, txState, "serializable off off 0"},
		"set local is kept":        {begin, []string{"set local work_mem = '2MB'", "set transaction read only"}, "show work_mem", "2MB"},
		"too late":                 {begin, []string{"select 1", "set transaction isolation level serializable"}, txState, ""},
		"a lock that is too late":  {begin, []string{"insert into notes.plain values (7, 'kept')", "lock table notes.plain"}, "select body from notes.plain where id = 7", "kept"},
		"after a mistake":          {begin, []string{"lock table notes.missing", "set transaction read only"}, txState, ""},
		"after a savepoint's work": {begin, []string{"savepoint s", "insert into notes.plain values (7, 'kept')", "release s", "lock table notes.plain"}, "select body from notes.plain where id = 7", "kept"},
	} {
		run := func(ctx context.Context, db beginner) (got string, err error) {
			tx, err := db.BeginTx(ctx, c.opts)
			if err != nil {
				return "", err
			}
			defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
			for _, sql := range c.first {
				if _, e := tx.Exec(ctx, sql); err == nil {
					err = e
				}
			}
			if err != nil {
				return "", err
			}
			return got, tx.QueryRow(ctx, c.then).Scan(&got)
		}
		acme := as(t, "acme")
		got, plainErr := run(within(t), plain)
		require.Equal(t, c.result, got, "%s: pgxpool: %v", name, plainErr)
		limited := db.Named("limited", fxdb.Timeouts(fxdb.ServerTimeouts{Statement: patience}))
		for who, use := range map[string]func() (string, error){
			"a tenant":            func() (string, error) { return run(acme, db) },
			"a client's timeouts": func() (string, error) { return run(within(t), limited) },
		} {
			got, err := use()
			require.Equal(t, c.result, got, "%s: %s: %v", name, who, err)
			require.Equal(t, codeOf(plainErr), codeOf(err), "%s: %s: %v", name, who, err)
		}
	}
}

// A transaction that began anew keeps its options, scope and limits.
func TestATransactionThatBeginsWithALockHasItsScope(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t, testkit.Config(one)).Named("reports", fxdb.Timeouts(fxdb.ServerTimeouts{Statement: patience}))
	acme := as(t, "acme")
	for name, begin := range map[string]func(tx pgx.Tx) error{
		"Exec": func(tx pgx.Tx) error {
			tag, err := tx.Exec(acme, "lock table notes.plain")
			require.Equal(t, "LOCK TABLE", tag.String())
			return err
		},
		"Exec with options": func(tx pgx.Tx) error {
			_, err := tx.Exec(acme, "lock table notes.plain", pgx.QueryExecModeDescribeExec, pgx.NamedArgs{})
			return err
		},
		"Query": func(tx pgx.Tx) error {
			rows, err := tx.Query(acme, "lock table notes.plain")
			require.NoError(t, err)
			require.False(t, rows.Next())
			require.Equal(t, "LOCK TABLE", rows.CommandTag().String())
			rows.Close()
			return rows.Err()
		},
		"QueryRow": func(tx pgx.Tx) error {
			require.ErrorIs(t, tx.QueryRow(acme, "lock table notes.plain").Scan(), pgx.ErrNoRows)
			return nil
		},
	} {
		err := db.InTx(acme, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
			require.NoError(t, begin(tx), name)
			var who, level, limit string
			err := tx.QueryRow(t.Context(), "select current_setting('app.current_tenant'), current_setting('transaction_isolation'), current_setting('statement_timeout')").Scan(&who, &level, &limit)
			require.Equal(t, []string{"acme", "repeatable read", "1min"}, []string{who, level, limit}, name)
			return err
		})
		require.NoError(t, err, name)
		requireClean(t, db)
	}
}

// What the transaction reads must have been written before the lock was had: that is
// what LOCK before any query is for.
func TestALockBeforeAnyQueryComesBeforeTheSnapshot(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t)
	acme := as(t, "acme")
	writer, err := db.Begin(within(t))
	require.NoError(t, err)
	_, err = writer.Exec(within(t), "insert into notes.plain values (1, 'before the lock')")
	require.NoError(t, err)
	reader, err := db.BeginTx(acme, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	require.NoError(t, err)
	locked := make(chan error, 1)
	go func() {
		_, err := reader.Exec(acme, "lock table notes.plain in exclusive mode")
		locked <- err
	}()
	require.Eventually(t, func() bool {
		var waits bool
		require.NoError(t, db.QueryRow(within(t), "select exists (select from pg_locks where not granted and relation = 'notes.plain'::regclass)").Scan(&waits))
		return waits
	}, patience, time.Millisecond)
	require.NoError(t, writer.Commit(within(t)))
	require.NoError(t, receive(t, locked, "the lock"))
	var n int
	require.NoError(t, reader.QueryRow(acme, "select count(*) from notes.plain").Scan(&n))
	require.Equal(t, 1, n, "the transaction has a snapshot from before the lock")
	require.NoError(t, reader.Rollback(acme))
}

// The scope stands behind such a statement, but the role and the limits hold for it too.
func TestALockBeforeAnyQueryIsTakenByTheTenantsRoleWithinTheLimits(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t)
	cfg := fxdb.Config{URL: asSuperuser(t, db).String(), TenantRole: db.Pool().Config().ConnConfig.User, PoolMin: 1, PoolMax: 2}
	privileged, err := fxdb.Open(within(t), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, privileged.Close(context.Background())) })
	limited := privileged.Named("limited", fxdb.Timeouts(fxdb.ServerTimeouts{Lock: time.Millisecond}))

	lock := func(db *fxdb.DB, sql string) error {
		return db.InTx(as(t, "acme"), pgx.TxOptions{}, func(tx pgx.Tx) error {
			_, err := tx.Exec(within(t), sql)
			return err
		})
	}
	require.NoError(t, lock(limited, "lock table notes.plain in row exclusive mode"))
	err = lock(limited, "lock table pg_catalog.pg_authid")
	require.Equal(t, "42501", codeOf(err), "the login locked what its tenants' role may not: %v", err)

	holder, err := privileged.Begin(tenant.System(within(t), "holds a lock"))
	require.NoError(t, err)
	defer func() { _ = holder.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = holder.Exec(within(t), "lock table notes.plain")
	require.NoError(t, err)
	require.Equal(t, "55P03", codeOf(lock(limited, "lock table notes.plain")))
}

// The new beginning must not undo statements that ran past the transaction's methods.
func TestALockAfterTheConnectionWasUsedDoesNotBeginAnew(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t, testkit.Config(one))
	acme := as(t, "acme")
	for name, write := range map[string]func(tx pgx.Tx) error{
		"Conn": func(tx pgx.Tx) error {
			_, err := tx.Conn().Exec(acme, "insert into notes.notes (body) values ('kept')")
			return err
		},
		"Begin": func(tx pgx.Tx) error {
			return pgx.BeginFunc(acme, tx, func(tx pgx.Tx) error {
				_, err := tx.Exec(acme, "insert into notes.notes (body) values ('kept')")
				return err
			})
		},
		"SendBatch": func(tx pgx.Tx) error {
			b := &pgx.Batch{}
			b.Queue("insert into notes.notes (body) values ('kept')")
			return tx.SendBatch(acme, b).Close()
		},
		"CopyFrom": func(tx pgx.Tx) error {
			_, err := tx.CopyFrom(acme, pgx.Identifier{"notes", "notes"}, []string{"body"}, pgx.CopyFromRows([][]any{{"kept"}}))
			return err
		},
		"LargeObjects": func(tx pgx.Tx) error {
			large := tx.LargeObjects()
			if _, err := large.Create(acme, 0); err != nil {
				return err
			}
			_, err := tx.Exec(acme, "insert into notes.notes (body) values ('kept')")
			return err
		},
		"Prepare": func(tx pgx.Tx) error {
			if _, err := tx.Prepare(acme, "kept", "insert into notes.notes (body) values ('kept')"); err != nil {
				return err
			}
			_, err := tx.Exec(acme, "kept")
			return err
		},
	} {
		require.NoError(t, db.InTx(acme, pgx.TxOptions{}, func(tx pgx.Tx) error {
			require.NoError(t, write(tx), name)
			_, err := tx.Exec(acme, "lock table notes.notes in row exclusive mode")
			require.NoError(t, err, name)
			var n int
			require.NoError(t, tx.QueryRow(acme, "select count(*) from notes.notes").Scan(&n))
			require.Equal(t, 1, n, "%s: the lock undid what was written", name)
			_, err = tx.Exec(acme, "delete from notes.notes")
			return err
		}))
	}
}

// A batch that begins its transaction can begin it so as well, if pgx has nothing to
// prepare.
func TestABatchMayBeginATransactionAndSetItsLevel(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t, testkit.Config(one))
	for name, ctx := range map[string]context.Context{"nobody": within(t), "a tenant": as(t, "acme")} {
		b := &pgx.Batch{}
		b.BeginTx(pgx.TxOptions{})
		b.Queue("set transaction isolation level serializable")
		b.Queue("show transaction_isolation")
		br := db.SendBatch(ctx, b)
		var level string
		for range 2 {
			_, err := br.Exec()
			require.NoError(t, err, name)
		}
		require.NoError(t, br.QueryRow().Scan(&level), name)
		require.Equal(t, "serializable", level, name)
		tx := br.Tx()
		require.NoError(t, br.Close(), name)
		var who string
		require.NoError(t, tx.QueryRow(ctx, tenantSetting).Scan(&who))
		require.Equal(t, name == "a tenant", who == "acme", name)
		require.NoError(t, tx.Rollback(ctx))
	}
}

// A batch may be what begins a transaction's statements.
func TestATransactionMayBeginWithABatchThatSetsIt(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t)
	plain := plainPool(t, db)
	limited := db.Named("limited", fxdb.Timeouts(fxdb.ServerTimeouts{Statement: patience}))
	const set = "set transaction isolation level serializable"
	for name, texts := range map[string][]string{
		"alone":             {set},
		"and more":          {set, "set transaction read only, deferrable", "show transaction_isolation"},
		"a lock":            {"lock table notes.plain in share row exclusive mode", set, "show work_mem"},
		"behind set local":  {"set local work_mem = '2MB'", set},
		"after a statement": {"select 1", set},
	} {
		run := func(ctx context.Context, db beginner) string {
			tx, err := db.BeginTx(ctx, pgx.TxOptions{})
			require.NoError(t, err)
			defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
			b := &pgx.Batch{}
			for _, sql := range texts {
				b.Queue(sql)
			}
			got := "tags"
			br := tx.SendBatch(ctx, b)
			for range texts {
				tag, err := br.Exec()
				got += " " + tag.String() + " " + codeOf(err)
			}
			_ = br.Close()
			var state string
			err = tx.QueryRow(ctx, txState).Scan(&state)
			return got + ": " + state + codeOf(err)
		}
		want := run(within(t), plain)
		require.Equal(t, want, run(as(t, "acme"), db), name)
		require.Equal(t, want, run(within(t), limited), name)
	}
	require.NoError(t, db.InTx(as(t, "acme"), pgx.TxOptions{}, func(tx pgx.Tx) error {
		if err := batchOf(t.Context(), tx, set, "insert into notes.notes (body) values ('x')"); err != nil {
			return err
		}
		var who string
		err := tx.QueryRow(t.Context(), tenantSetting).Scan(&who)
		require.Equal(t, "acme", who)
		return err
	}))
}
