package fxdb_test

import (
	"context"
	"database/sql"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/fxdbsql"
	"github.com/agentagency/onepool/internal/testing/pgfault"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant"
)

const writtenTable = "create table written (id int); create procedure write() language sql as 'insert into written values (1)'"

// failover is an address of which the server has become a standby, and behind which the
// primary stands for new connections.
type failover struct {
	standby *pgfault.Restartable
	primary *pgfault.Server
}

func newFailover(t *testing.T) *failover {
	f := &failover{standby: pgfault.StartRestartable(t), primary: pgfault.Start(t)}
	for _, admin := range []func(testing.TB, func(*pgx.Conn)){f.standby.Admin, f.primary.Admin} {
		admin(t, func(c *pgx.Conn) {
			_, err := c.Exec(within(t), writtenTable)
			require.NoError(t, err)
		})
	}
	f.standby.RestartAsStandby(t)
	return f
}

// open opens a pool with its only connection on the standby. The next connection reaches
// the primary.
func (f *failover) open(t *testing.T, params string) *fxdb.DB {
	var over atomic.Bool
	primary, err := pgx.ParseConfig(f.primary.URL())
	require.NoError(t, err)
	db, err := fxdb.Open(within(t), fxdb.Config{URL: f.standby.URL() + params, PoolMin: 1, PoolMax: 1},
		fxdb.WithConfigurePool(func(pc *pgxpool.Config) error {
			dial := pc.ConnConfig.DialFunc
			pc.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if over.Load() {
					network, addr = pgconn.NetworkAddress(primary.Host, primary.Port)
				}
				return dial(ctx, network, addr)
			}
			return nil
		}))
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close(context.Background()) })
	over.Store(true)
	return db
}

func TestAStatementThatAStandbyRefusedGoesToThePrimary(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	f := newFailover(t)
	acme := tenant.Identity{Tenant: "acme"}
	queryRow := func(sql string) func(context.Context, *fxdb.DB) error {
		return func(ctx context.Context, db *fxdb.DB) error {
			var n int
			return db.QueryRow(ctx, sql).Scan(&n)
		}
	}
	exec := func(sql string, args ...any) func(context.Context, *fxdb.DB) error {
		return func(ctx context.Context, db *fxdb.DB) error {
			_, err := db.Exec(ctx, sql, args...)
			return err
		}
	}
	for name, c := range map[string]struct {
		params string // of the connection string
		tenant bool
		run    func(context.Context, *fxdb.DB) error
		again  bool
	}{
		"Exec":                 {"", false, exec("insert into written values ($1)", 1), true},
		"Exec of a tenant":     {"", true, exec("insert into written values (@n)", pgx.NamedArgs{"n": 1}), true},
		"QueryRow":             {"", false, queryRow("insert into written values (1) returning id"), true},
		"QueryRow of a tenant": {"", true, queryRow("with w as (insert into written values (1) returning id) select id from w"), true},
		"database/sql": {"", false, func(ctx context.Context, db *fxdb.DB) error {
			sqlDB := fxdbsql.Open(db)
			defer sqlDB.Close()
			return execSQL(ctx, sqlDB)
		}, true},
		"CALL":                    {"", false, exec("call write()"), false},
		"DO":                      {"", false, exec("do 'begin insert into written values (1); end'"), false},
		"several statements":      {"", false, exec("insert into written values (1); insert into written values (2)"), false},
		"a transaction":           {"", false, inTx("insert into written values (1)"), false},
		"a session's own setting": {"&default_transaction_read_only=on", false, exec("insert into written values (1)"), false},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := within(t)
			if c.tenant {
				ctx = tenant.NewContext(ctx, acme)
			}
			written := f.written(t)
			err := c.run(ctx, f.open(t, c.params))
			if c.again {
				require.NoError(t, err)
				require.Equal(t, written+1, f.written(t), "the primary has the row once")
				return
			}
			var refused *pgconn.PgError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, "25006", refused.Code)
			require.Equal(t, written, f.written(t))
		})
	}
}

func execSQL(ctx context.Context, db *sql.DB) error {
	_, err := db.ExecContext(ctx, "insert into written values ($1)", 1)
	return err
}

func inTx(text string) func(context.Context, *fxdb.DB) error {
	return func(ctx context.Context, db *fxdb.DB) error {
		tx, err := db.Begin(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback(ctx) }()
		if _, err = tx.Exec(ctx, text); err != nil {
			return err
		}
		return tx.Commit(ctx)
	}
}

func (f *failover) written(t *testing.T) (n int) {
	f.primary.Admin(t, func(c *pgx.Conn) {
		require.NoError(t, c.QueryRow(within(t), "select count(*) from written").Scan(&n))
	})
	return n
}

func TestMigrationsRunOnThePrimaryOfSeveralHosts(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	f := newFailover(t)
	both := bothHosts(t, f.standby.URL(), f.primary.URL())
	for name, cfg := range map[string]fxdb.Config{
		"DB_MIGRATE_URL": {URL: f.primary.URL(), MigrateURL: both},
		"DATABASE_URL":   {URL: both},
	} {
		t.Run(name, func(t *testing.T) {
			cfg.Migrate, cfg.PoolMin, cfg.PoolMax = true, 0, 2
			source := strings.ToLower(strings.ReplaceAll(name, "_", ""))
			db, err := fxdb.Open(within(t), cfg, fxdb.WithMigrations(source, faultTables))
			require.NoError(t, err)
			require.NoError(t, db.Close(within(t)))
			f.primary.Admin(t, func(c *pgx.Conn) {
				_, err := c.Exec(within(t), "drop schema faults cascade")
				require.NoError(t, err, "the migration has run there")
			})
		})
	}
}

// bothHosts returns a connection string with the hosts of two strings.
func bothHosts(t *testing.T, first, second string) string {
	a, err := pgx.ParseConfig(first)
	require.NoError(t, err)
	b, err := pgx.ParseConfig(second)
	require.NoError(t, err)
	return "host=" + a.Host + "," + b.Host + " port=" + port(a) + "," + port(b) + " user=postgres dbname=postgres sslmode=disable"
}

func port(cc *pgx.ConnConfig) string { return strconv.Itoa(int(cc.Port)) }
