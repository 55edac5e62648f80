package fxdbsql_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

func TestEveryStatementHasItsContextsTenant(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	_, db := open(t, testkit.Config(func(c *fxdb.Config) { c.PoolMin, c.PoolMax = 1, 1 })) // all on one connection
	for _, name := range []string{"acme", "globex", ""} {
		ctx := t.Context()
		if name != "" {
			ctx = as(t, name)
			_, err := db.ExecContext(ctx, "insert into notes.notes (body) values ($1)", "of "+name)
			require.NoError(t, err)
			_, err = db.ExecContext(ctx, "insert into notes.notes (body) values ('a'); insert into notes.notes (body) values ('b')")
			require.NoError(t, err)
		}
		require.Equal(t, name, tenantOf(t, db, ctx))
		var user string
		require.NoError(t, db.QueryRowContext(ctx, "select coalesce(current_setting('app.current_user', true), '')").Scan(&user))
		require.Equal(t, strings.TrimPrefix(name+"-user", "-user"), user)
		rows, err := db.QueryContext(ctx, "select tenant_id from notes.notes where body like 'of %'")
		require.NoError(t, err)
		var seen []string
		for rows.Next() {
			var who string
			require.NoError(t, rows.Scan(&who))
			seen = append(seen, who)
		}
		require.NoError(t, rows.Err())
		if name == "" {
			require.Empty(t, seen)
		} else {
			require.Equal(t, []string{name}, seen)
		}
	}
	require.Empty(t, tenantOf(t, db, t.Context()), "a tenant stayed on the connection")
}

func TestTenantsDoNotMixUnderLoad(t *testing.T) {
	t.Parallel()
	_, db := open(t, testkit.Config(func(c *fxdb.Config) { c.PoolMin, c.PoolMax = 3, 3 }))
	// database/sql hands connections from one waiting goroutine to another then.
	db.SetMaxOpenConns(2)
	db.SetMaxIdleConns(2)
	prepared, err := db.PrepareContext(t.Context(), tenantSetting+" || $1")
	require.NoError(t, err)
	defer prepared.Close()
	var wg sync.WaitGroup
	for g := range 12 {
		ctx, want := t.Context(), ""
		if g%4 != 0 {
			want = fmt.Sprint("tenant-", g)
			ctx = as(t, want)
		}
		wg.Go(func() {
			for i := range 30 {
				var got string
				var err error
				switch i % 3 {
				case 0:
					err = db.QueryRowContext(ctx, tenantSetting).Scan(&got)
				case 1:
					err = prepared.QueryRowContext(ctx, "!").Scan(&got)
					got = strings.TrimSuffix(got, "!")
				case 2:
					var tx *sql.Tx
					if tx, err = db.BeginTx(ctx, nil); err == nil {
						err = tx.QueryRow(tenantSetting).Scan(&got)
						err = errors.Join(err, tx.Commit())
					}
				}
				if err != nil || got != want {
					t.Errorf("goroutine %d, round %d: %q, want %q: %v", g, i, got, want, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestATransactionHasTheTenantItBeganWith(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	_, db := open(t)
	tx, err := db.BeginTx(as(t, "acme"), &sql.TxOptions{Isolation: sql.LevelSerializable, ReadOnly: true})
	require.NoError(t, err)
	require.Equal(t, "acme", tenantOf(t, tx, t.Context()))
	require.Equal(t, "acme", tenantOf(t, tx, as(t, "acme")))
	var level, readOnly string
	require.NoError(t, tx.QueryRow("select current_setting('transaction_isolation'), current_setting('transaction_read_only')").Scan(&level, &readOnly))
	require.Equal(t, "serializable", level)
	require.Equal(t, "on", readOnly)

	other := as(t, "globex")
	_, err = tx.ExecContext(other, "select 1")
	require.ErrorIs(t, err, fxdb.ErrTenantMismatch)
	_, err = tx.QueryContext(other, "select 1")
	require.ErrorIs(t, err, fxdb.ErrTenantMismatch)
	prepared, err := tx.PrepareContext(other, "select 1")
	require.NoError(t, err)
	_, err = prepared.ExecContext(other)
	require.ErrorIs(t, err, fxdb.ErrTenantMismatch)
	require.NoError(t, tx.Commit(), "the refused statements were not sent")

	tx, err = db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = tx.ExecContext(as(t, "acme"), "insert into notes.notes (body) values ('whose?')")
	require.ErrorIs(t, err, fxdb.ErrTenantMismatch)
	require.NoError(t, tx.Rollback())
	require.Empty(t, tenantOf(t, db, t.Context()))

	_, err = db.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelLinearizable})
	require.ErrorContains(t, err, "Linearizable")
}

func TestIdentitiesAreCheckedBeforeAnythingIsTaken(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	pool, _ := open(t)
	db := over(t, pool.Named("strict", fxdb.RequireTenant()))
	system := tenant.System(t.Context(), "a test")
	for name, c := range map[string]struct {
		ctx  context.Context
		want error
	}{
		"nobody":         {t.Context(), fxdb.ErrTenantRequired},
		"a blank tenant": {tenant.NewContext(t.Context(), tenant.Identity{Tenant: " "}), tenant.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := db.ExecContext(c.ctx, "select 1")
			require.ErrorIs(t, err, c.want)
			_, err = db.QueryContext(c.ctx, "select 1")
			require.ErrorIs(t, err, c.want)
			require.ErrorIs(t, db.QueryRowContext(c.ctx, "select 1").Scan(new(int)), c.want)
			_, err = db.BeginTx(c.ctx, nil)
			require.ErrorIs(t, err, c.want)
			prepared, err := db.PrepareContext(c.ctx, "select 1")
			require.NoError(t, err)
			defer prepared.Close()
			_, err = prepared.QueryContext(c.ctx)
			require.ErrorIs(t, err, c.want)
			session, err := db.Conn(c.ctx)
			require.NoError(t, err)
			defer session.Close()
			_, err = session.ExecContext(c.ctx, "select 1")
			require.ErrorIs(t, err, c.want)
			require.Equal(t, "acme", tenantOf(t, session, as(t, "acme")), "a session is not bound to its own context")
		})
	}
	before := clientStats(t, pool, "strict").Acquired
	require.Error(t, db.QueryRow("select 1").Scan(new(int)))
	require.Equal(t, before, clientStats(t, pool, "strict").Acquired, "a connection was taken for a statement that was refused")

	require.Equal(t, "acme", tenantOf(t, db, as(t, "acme")))
	require.Empty(t, tenantOf(t, db, system))
	require.NoError(t, db.PingContext(t.Context()), "a ping reads nothing")

	// With a limit of its own database/sql connects in the background, in nobody's name.
	db.SetMaxOpenConns(1)
	tx, err := db.BeginTx(as(t, "acme"), nil)
	require.NoError(t, err)
	got := make(chan error, 1)
	go func() { got <- db.QueryRowContext(as(t, "globex"), "select 1").Scan(new(int)) }()
	require.Eventually(t, func() bool { return db.Stats().WaitCount == 1 }, patience, tick)
	require.NoError(t, tx.Commit())
	require.NoError(t, <-got)
}

func TestASessionKeepsItsConnectionAndNoTenant(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	pool, db := open(t)
	session, err := db.Conn(as(t, "acme"))
	require.NoError(t, err)
	defer session.Close()
	backend := func() (pid int) {
		require.NoError(t, session.QueryRowContext(t.Context(), "select pg_backend_pid()").Scan(&pid))
		return pid
	}
	first := backend()
	other, err := pool.Acquire(t.Context()) // what a session without a connection would get
	require.NoError(t, err)
	defer other.Release()
	_, err = session.ExecContext(t.Context(), "set session work_mem = '123kB'")
	require.NoError(t, err)
	for _, name := range []string{"acme", "globex"} {
		require.Equal(t, name, tenantOf(t, session, as(t, name)))
		require.Empty(t, tenantOf(t, session, t.Context()))
	}
	require.Equal(t, first, backend())
	var mem string
	require.NoError(t, session.QueryRowContext(as(t, "acme"), "show work_mem").Scan(&mem))
	require.Equal(t, "123kB", mem)

	tx, err := session.BeginTx(as(t, "acme"), nil)
	require.NoError(t, err)
	_, err = session.BeginTx(as(t, "acme"), nil)
	require.ErrorContains(t, err, "a transaction already")
	require.Equal(t, "acme", tenantOf(t, tx, t.Context()))
	require.NoError(t, tx.Rollback())
	require.Equal(t, first, backend())
	_, err = session.ExecContext(t.Context(), "reset work_mem")
	require.NoError(t, err)
}

func TestATransactionBegunByTextCarriesNoTenant(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	_, db := open(t)
	session, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer session.Close()
	_, err = session.ExecContext(as(t, "acme"), "begin")
	require.ErrorIs(t, err, fxdb.ErrTenantNotCarried)
	require.Empty(t, tenantOf(t, session, t.Context()), "the tenant stayed in a transaction")

	_, err = session.QueryContext(as(t, "acme"), "begin")
	require.ErrorIs(t, err, fxdb.ErrTenantNotCarried)
	require.Empty(t, tenantOf(t, session, t.Context()), "the tenant's transaction is open")
	_, err = session.ExecContext(t.Context(), "begin")
	require.NoError(t, err)
	_, err = session.ExecContext(as(t, "acme"), "insert into notes.notes (body) values ('x')")
	require.ErrorIs(t, err, fxdb.ErrTenantNotCarried)
	_, err = session.QueryContext(as(t, "acme"), "select 1")
	require.ErrorIs(t, err, fxdb.ErrTenantNotCarried)
	_, err = session.BeginTx(as(t, "acme"), nil)
	require.ErrorIs(t, err, fxdb.ErrTenantNotCarried)
	_, err = session.ExecContext(t.Context(), "commit")
	require.NoError(t, err)
	require.Equal(t, "acme", tenantOf(t, session, as(t, "acme")))
}

func TestATenantsRoleIsTakenForTheStatement(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	pool := testkit.DB(t)
	url := pool.Pool().Config().ConnString()
	owner := testkit.OwnerPool(t, pool)
	var mayGrant bool
	require.NoError(t, owner.QueryRow(t.Context(), "select pg_has_role('onepool_app', 'onepool_owner', 'member')").Scan(&mayGrant))
	require.False(t, mayGrant, "the test would prove nothing")
	// The role itself is one that the login may take: its own.
	strict, err := fxdb.Open(t.Context(), fxdb.Config{URL: url, TenantRole: "onepool_app", PoolMax: 2})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, strict.Close(context.Background())) })
	db := over(t, strict)
	var role string
	require.NoError(t, db.QueryRowContext(as(t, "acme"), "show role").Scan(&role))
	require.Equal(t, "onepool_app", role)
	tx, err := db.BeginTx(as(t, "acme"), nil)
	require.NoError(t, err)
	require.NoError(t, tx.QueryRow("show role").Scan(&role))
	require.Equal(t, "onepool_app", role)
	require.NoError(t, tx.Rollback())
	require.NoError(t, db.QueryRowContext(t.Context(), "show role").Scan(&role))
	require.Equal(t, "onepool_app", role, "without a tenant too")
	conn, err := strict.Acquire(t.Context())
	require.NoError(t, err)
	require.NoError(t, conn.QueryRow(t.Context(), "show role").Scan(&role))
	conn.Release()
	require.Equal(t, "none", role, "nothing stays on the connection")

	forbidden, err := fxdb.Open(t.Context(), fxdb.Config{URL: url, TenantRole: "onepool_owner", PoolMax: 2})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, forbidden.Close(context.Background())) })
	db = over(t, forbidden)
	_, err = db.BeginTx(as(t, "acme"), nil)
	require.ErrorContains(t, err, "permission denied to set role")
	require.ErrorContains(t, db.QueryRowContext(as(t, "acme"), "select 1").Scan(new(int)), "permission denied to set role")
	require.Zero(t, forbidden.Stats().Active)
}
