package fxdb_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
)

const serializable = "set transaction isolation level serializable"

// execIn returns a step that runs a text.
func execIn(sql string) func(ctx context.Context, tx pgx.Tx) error {
	return func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sql)
		return err
	}
}

// inSavepoint returns a step that runs steps in a nested transaction.
func inSavepoint(rollback bool, steps ...func(ctx context.Context, tx pgx.Tx) error) func(ctx context.Context, tx pgx.Tx) error {
	return func(ctx context.Context, tx pgx.Tx) error {
		sp, err := tx.Begin(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = sp.Rollback(ctx) }()
		for _, step := range steps {
			err = errors.Join(err, step(ctx, sp))
		}
		if rollback {
			return errors.Join(err, sp.Rollback(ctx))
		}
		return errors.Join(err, sp.Commit(ctx))
	}
}

// What pgx takes in front of SET TRANSACTION and LOCK, a tenant's transaction takes too.
func TestWhatMayStandInFrontOfSetTransaction(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t)
	plain := plainPool(t, db)
	limited := db.Named("limited", fxdb.Timeouts(fxdb.ServerTimeouts{Statement: patience}))
	set, lock := execIn(serializable), execIn("lock table notes.plain in share row exclusive mode")
	nothing := func(context.Context, pgx.Tx) error { return nil }
	conn := func(sql string) func(ctx context.Context, tx pgx.Tx) error {
		return func(ctx context.Context, tx pgx.Tx) error {
			conn := tx.Conn()
			if sql == "" {
				return nil
			}
			_, err := conn.Exec(ctx, sql)
			return err
		}
	}
	batch := func(texts ...string) func(ctx context.Context, tx pgx.Tx) error {
		return func(ctx context.Context, tx pgx.Tx) error { return batchOf(ctx, tx, texts...) }
	}
	prepare := func(name, sql string) func(ctx context.Context, tx pgx.Tx) error {
		return func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Prepare(ctx, name, sql)
			return err
		}
	}
	large := func(use bool) func(ctx context.Context, tx pgx.Tx) error {
		return func(ctx context.Context, tx pgx.Tx) error {
			objects := tx.LargeObjects()
			if !use {
				return nil
			}
			_, err := objects.Create(ctx, 0)
			return err
		}
	}
	copies := func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.CopyFrom(ctx, pgx.Identifier{"notes", "plain"}, []string{"id"}, pgx.CopyFromRows([][]any{{7}}))
		return err
	}
	const insert = "insert into notes.plain values (7)"
	for name, steps := range map[string][]func(ctx context.Context, tx pgx.Tx) error{
		"a savepoint of Begin":            {inSavepoint(false, nothing), set},
		"a savepoint rolled back":         {inSavepoint(true, nothing), set},
		"a set in a savepoint":            {inSavepoint(false, set)},
		"read only in a savepoint":        {inSavepoint(false, execIn("set transaction read only"))},
		"a lock in a savepoint":           {inSavepoint(false, lock), set},
		"a lock in one rolled back":       {inSavepoint(true, lock), nothing},
		"a savepoint in a savepoint":      {inSavepoint(false, inSavepoint(false, nothing), inSavepoint(true, nothing)), set},
		"set local in a savepoint":        {inSavepoint(false, execIn("set local work_mem = '2MB'")), set},
		"work in a savepoint":             {inSavepoint(false, execIn(insert)), set},
		"work in a savepoint, then lock":  {inSavepoint(false, execIn(insert)), lock},
		"a batch in a savepoint":          {inSavepoint(false, batch("set local work_mem = '2MB'")), set},
		"a text's savepoint, by Begin":    {execIn("savepoint sp_1"), inSavepoint(false, nothing), execIn("release savepoint sp_1"), set},
		"a savepoint by a text":           {execIn("savepoint s; set local work_mem = '2MB'; rollback to s; release s; " + serializable)},
		"a savepoint of the same name":    {execIn("savepoint s; savepoint s; release s"), set},
		"both of the same name":           {execIn("savepoint s; savepoint S; release s; release s"), set},
		"behind its mistake":              {execIn("savepoint s"), inSavepoint(true, nothing), execIn("rollback to s"), execIn("release s"), set},
		"listen":                          {execIn("listen onepool_opening"), set},
		"listen and unlisten":             {execIn("listen onepool_opening; unlisten *"), set, lock},
		"notify":                          {execIn("notify onepool_opening, 'x'"), set},
		"notify, then lock":               {execIn("notify onepool_opening, 'x'"), lock},
		"pg_notify":                       {execIn("select pg_notify('onepool_opening', 'x')"), set},
		"a batch":                         {batch("set local work_mem = '2MB'"), set},
		"two batches":                     {batch("set local work_mem = '2MB'"), batch(serializable), batch("set transaction read only", "show work_mem")},
		"a batch of savepoints":           {batch("savepoint s", "release s"), batch(serializable)},
		"a batch with an open savepoint":  {batch("savepoint s", "set transaction read only")},
		"a batch of a query":              {batch("select 1"), set},
		"an empty batch":                  {batch(), set},
		"the connection":                  {conn(""), set},
		"the connection, twice":           {conn(""), execIn("set local work_mem = '2MB'"), conn(""), set, conn(""), lock},
		"the connection in a savepoint":   {inSavepoint(false, conn("")), set},
		"a query of the connection":       {conn("select 1"), set},
		"work of the connection":          {conn(insert), lock},
		"work, then a batch":              {conn(insert), batch(), lock},
		"work, then a savepoint":          {conn(insert), inSavepoint(false, nothing), lock},
		"work in a savepoint's":           {inSavepoint(false, conn(insert)), lock},
		"work, then large objects":        {conn(insert), large(false), lock},
		"work, then a preparation":        {conn(insert), prepare("p1", "set local work_mem = '2MB'"), lock},
		"a query prepared":                {prepare("", "select 1"), set},
		"a setting prepared":              {prepare("p3", "set local work_mem = '2MB'"), set},
		"a setting prepared and run":      {prepare("lock", "set local work_mem = '2MB'"), execIn("lock"), nothing},
		"large objects that nobody uses":  {large(false), set},
		"large objects":                   {large(true), set},
		"a copy":                          {copies, set},
		"a copy, then a lock":             {copies, lock},
		"nothing":                         {nothing, set, lock},
		"a set in the connection's place": {set, conn(""), execIn("set transaction read only")},
	} {
		run := func(ctx context.Context, db beginner) (got, who string) {
			tx, err := db.BeginTx(ctx, pgx.TxOptions{})
			require.NoError(t, err)
			defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
			for _, step := range steps {
				got += codeOf(step(ctx, tx)) + " "
			}
			var state, memory, n string
			err = tx.QueryRow(ctx, "select state, current_setting('work_mem'), (select count(*)::text from notes.plain), coalesce(current_setting('app.current_tenant', true), '') from ("+
				txState+") s (state)").Scan(&state, &memory, &n, &who)
			if err != nil {
				who = "acme" // nobody can ask
			}
			return got + state + " " + memory + " " + n + codeOf(err), who
		}
		want, _ := run(within(t), plain)
		got, who := run(as(t, "acme"), db)
		require.Equal(t, want, got, name)
		require.Equal(t, "acme", who, "%s: the tenant is gone", name)
		got, _ = run(within(t), limited)
		require.Equal(t, want, got, "%s: a client with limits", name)
	}
}

// A savepoint that is rolled back must not take the tenant along.
func TestTheScopeOutlivesASavepointOfTheOpening(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t)
	acme := as(t, "acme")
	lock := execIn("lock table notes.plain in share row exclusive mode")
	for name, steps := range map[string][]func(ctx context.Context, tx pgx.Tx) error{
		"texts":            {execIn("savepoint s"), lock, execIn("rollback to s")},
		"one text":         {execIn("savepoint s; lock table notes.plain"), execIn("rollback to savepoint s")},
		"set, then a save": {execIn(serializable + "; savepoint s"), execIn("rollback to s")},
		"a read only one":  {execIn("savepoint s"), execIn("set transaction read only"), execIn("rollback to s")},
		"a batch": {func(ctx context.Context, tx pgx.Tx) error {
			return batchOf(ctx, tx, "savepoint s", "lock table notes.plain", "rollback to s")
		}},
		"a batch and texts": {execIn("savepoint s"), func(ctx context.Context, tx pgx.Tx) error { return batchOf(ctx, tx, "lock table notes.plain") }, execIn("rollback to s")},
		"Begin":             {inSavepoint(true, lock)},
		"in each other":     {execIn("savepoint a; savepoint b; release b"), lock, execIn("rollback to a")},
		"behind an anew":    {lock, execIn("savepoint s"), execIn("lock table notes.notes"), execIn("rollback to s")},
	} {
		require.NoError(t, db.InTx(acme, pgx.TxOptions{}, func(tx pgx.Tx) error {
			for _, step := range steps {
				if err := step(acme, tx); err != nil {
					return err
				}
			}
			var who string
			err := tx.QueryRow(acme, tenantSetting).Scan(&who)
			require.Equal(t, "acme", who, name)
			return err
		}), name)
	}
}

// A scope without a tenant takes no snapshot, so the connection itself and a savepoint take SET
// TRANSACTION and LOCK too.
func TestWithoutATenantTheConnectionTakesSetTransaction(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t)
	plain := plainPool(t, db)
	limited := db.Named("limited", fxdb.Timeouts(fxdb.ServerTimeouts{Statement: patience}))
	_, err := db.Exec(as(t, "acme"), "select 1") // from now on every scope empties the identity
	require.NoError(t, err)
	conn := func(sql string) func(ctx context.Context, tx pgx.Tx) error {
		return func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Conn().Exec(ctx, sql)
			return err
		}
	}
	prepared := func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Prepare(ctx, "level", serializable); err != nil {
			return err
		}
		_, err := tx.Conn().Exec(ctx, "level")
		return err
	}
	const lock = "lock table notes.plain in share row exclusive mode"
	for name, steps := range map[string][]func(ctx context.Context, tx pgx.Tx) error{
		"the connection":               {conn(serializable)},
		"twice":                        {conn("set transaction isolation level repeatable read"), conn(serializable), conn("set transaction read only, deferrable")},
		"behind set local":             {execIn("set local work_mem = '2MB'"), conn(serializable)},
		"behind a savepoint's end":     {inSavepoint(true, conn(lock)), conn(serializable)},
		"in a savepoint":               {inSavepoint(false, conn(serializable))},
		"prepared":                     {prepared},
		"a mistake":                    {conn("set transaction isolation level sideways")},
		"a query":                      {conn("select 1"), conn(serializable)},
		"a lock in a savepoint":        {execIn("savepoint s"), execIn(lock), execIn("release s"), execIn(serializable)},
		"the connection's lock, later": {inSavepoint(false, conn(lock)), execIn(serializable), conn(serializable)},
	} {
		run := func(db beginner) (got string) {
			for _, opts := range []pgx.TxOptions{{}, {IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, {CommitQuery: "commit"}, {BeginQuery: "begin"}} {
				tx, err := db.BeginTx(within(t), opts)
				require.NoError(t, err)
				for _, step := range steps {
					got += codeOf(step(within(t), tx)) + " "
				}
				var state string
				err = tx.QueryRow(within(t), txState).Scan(&state)
				got += state + codeOf(err) + codeOf(tx.Rollback(within(t))) + "\n"
			}
			return got
		}
		require.Equal(t, run(plain), run(limited), name)
	}
	requireClean(t, limited)
	require.NoError(t, limited.InTx(within(t), pgx.TxOptions{}, func(tx pgx.Tx) error {
		var limit, who string
		err := tx.Conn().QueryRow(within(t), "select current_setting('statement_timeout'), current_setting('app.current_tenant')").Scan(&limit, &who)
		require.Equal(t, []string{"1min", ""}, []string{limit, who})
		return err
	}))
}
