package fxdb_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/fxdb/fxdbsql"
	"github.com/agentagency/onepool/internal/testing/pgfault"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

const sleeps = "select pg_sleep(60)"

// sleepers run a statement that outlasts its caller's deadline.
var sleepers = map[string]func(ctx context.Context, db *fxdb.DB) error{
	"Exec": func(ctx context.Context, db *fxdb.DB) error { _, err := db.Exec(ctx, sleeps); return err },
	"Exec with parameters": func(ctx context.Context, db *fxdb.DB) error {
		_, err := db.Exec(ctx, "select pg_sleep($1)", 60)
		return err
	},
	"Query": func(ctx context.Context, db *fxdb.DB) error {
		rows, err := db.Query(ctx, sleeps)
		if err == nil {
			rows.Close()
			err = rows.Err()
		}
		return err
	},
	"QueryRow": func(ctx context.Context, db *fxdb.DB) error {
		var nothing string
		return db.QueryRow(ctx, sleeps).Scan(&nothing)
	},
	"database/sql": func(ctx context.Context, db *fxdb.DB) error {
		pool := fxdbsql.Open(db)
		defer pool.Close()
		_, err := pool.ExecContext(ctx, sleeps)
		return err
	},
}

func TestTheServerEndsAStatementAtItsCallersDeadline(t *testing.T) {
	t.Parallel()
	scopes := map[string]func(t testing.TB) context.Context{
		"no tenant": func(t testing.TB) context.Context { return t.Context() },
		"a tenant":  func(t testing.TB) context.Context { return as(t, "acme") },
	}
	for door, sleep := range sleepers {
		for whose, scope := range scopes {
			t.Run(door+", "+whose, func(t *testing.T) {
				t.Parallel()
				endsAtItsDeadline(t, scope(t), sleep)
			})
		}
	}
	t.Run("SendBatch, a tenant", func(t *testing.T) {
		t.Parallel()
		endsAtItsDeadline(t, as(t, "acme"), func(ctx context.Context, db *fxdb.DB) error { return batchOf(ctx, db, "select 1", sleeps) })
	})
}

func endsAtItsDeadline(t *testing.T, ctx context.Context, sleep func(context.Context, *fxdb.DB) error) {
	db := notesDB(t, testkit.Config(one))
	before := backendOf(t, db)
	ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	err := sleep(ctx, db)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	var pgErr *pgconn.PgError
	require.ErrorAs(t, err, &pgErr, "the error says that the server ended the statement")
	require.Equal(t, "57014", pgErr.Code)
	require.Equal(t, before, backendOf(t, db), "the connection was closed")
	require.Equal(t, "30s", settingOf(t, db, t.Context(), "statement_timeout"), "the deadline stayed on the connection")
}

func backendOf(t testing.TB, db *fxdb.DB) (pid uint32) {
	require.NoError(t, db.QueryRow(within(t), "select pg_backend_pid()").Scan(&pid))
	return pid
}

func TestADeadlineIsNoLongerThanTheLimits(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	url := notesDB(t, testkit.Config(one)).Pool().Config().ConnString()
	for name, c := range map[string]struct {
		config  fxdb.Config
		options string
		client  fxdb.ServerTimeouts
	}{
		"the client's":   {client: fxdb.ServerTimeouts{Statement: 500 * time.Millisecond}},
		"the pool's":     {config: fxdb.Config{StatementTimeout: 500 * time.Millisecond}},
		"of options=":    {options: "&options=-c%20statement_timeout%3D500ms"},
		"one of minutes": {options: "&options=-c%20statement_timeout%3D0.009min"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.config.URL, c.config.PoolMin, c.config.PoolMax = url+c.options, 1, 1
			db, err := fxdb.Open(within(t), c.config)
			require.NoError(t, err)
			defer db.Close(context.Background())
			client := db.Named("reports", fxdb.Timeouts(c.client))
			for _, ctx := range []context.Context{t.Context(), as(t, "acme")} {
				ctx, cancel := context.WithTimeout(ctx, 20*time.Second) // below the default limit
				defer cancel()
				_, err := client.Exec(ctx, sleeps)
				require.Equal(t, "57014", codeOf(err), "%v", err)
				require.NotErrorIs(t, err, context.DeadlineExceeded, "the limit ended the statement")
			}
		})
	}
}

func TestADeadlineLeavesTheMeaningOfAStatement(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t, testkit.Config(one), testkit.Config(func(c *fxdb.Config) { c.StatementTimeout = -1 }))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, sql := range []string{
		"vacuum", "select 1; select 2", "set work_mem = '5MB'", "begin; commit", "", "-- nothing",
		"insert into notes (tenant_id, body) values ('acme', 'x')",
	} {
		_, bare := testkit.OwnerPool(t, db).Exec(ctx, sql)
		_, err := db.Exec(ctx, sql)
		if codeOf(bare) == "" && codeOf(err) == "42501" {
			continue // the app's role may not do it
		}
		require.Equal(t, codeOf(bare), codeOf(err), "%s: %v", sql, err)
	}
	rows, err := db.Query(ctx, "select $1::int, $2::text", pgx.QueryResultFormats{1, 0}, 7, "seven")
	require.NoError(t, err)
	type pair struct {
		N int
		S string
	}
	got, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[pair])
	require.NoError(t, err)
	require.Equal(t, pair{7, "seven"}, got)
}

func TestACallerIsFreeSoonAfterItsDeadlineIfTheServerIsSilent(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	p := pgfault.Start(t).Proxy(t)
	db, err := fxdb.Open(within(t), fxdb.Config{URL: p.DatabaseURL(devdb.RoleApp, "postgres"), PoolMin: 1, PoolMax: 1})
	require.NoError(t, err)
	defer db.Close(context.Background())
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	p.Blackhole(t, true)
	began := time.Now()
	_, err = db.Exec(ctx, sleeps)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotContains(t, err.Error(), "57014")
	t.Logf("free after %v", time.Since(began))
	require.Less(t, time.Since(began), patience)
}

func TestA57014BeforeTheDeadlineIsNotTheDeadlines(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t, testkit.Config(func(c *fxdb.Config) { c.PoolMin, c.PoolMax = 2, 2 }))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // below the pool's limit
	defer cancel()
	failed := make(chan error, 1)
	go func() { _, err := db.Exec(ctx, sleeps); failed <- err }()
	require.Eventually(t, func() bool {
		var n int
		err := db.QueryRow(ctx, `select count(pg_cancel_backend(pid)) from pg_stat_activity
			where query = $1 and state = 'active' and datname = current_database()`, sleeps).Scan(&n)
		return err == nil && n == 1
	}, patience, 10*time.Millisecond)
	err := <-failed
	require.Equal(t, "57014", codeOf(err))
	require.NotErrorIs(t, err, context.DeadlineExceeded)
}
