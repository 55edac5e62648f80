package fxdb_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

func TestHooksOfPgxpoolRunInsideThoseOfOnepool(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	var ran [9]atomic.Int64
	var c counting
	own := testkit.DB(t, testkit.Migrations("shop", typed))
	db := reopen(t, own, func(c *fxdb.Config) { c.PoolMax = 1 },
		fxdb.WithPasswordSource(func(context.Context) (string, error) { ran[0].Add(1); return "first", nil }),
		fxdb.WithOnConnect("types", shopTypes),
		fxdb.WithConfigurePool(func(pc *pgxpool.Config) error {
			dial := pc.ConnConfig.DialFunc
			pc.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
				ran[1].Add(1)
				return dial(ctx, network, addr)
			}
			pc.ConnConfig.OnNotice = func(*pgconn.PgConn, *pgconn.Notice) { ran[2].Add(1) }
			pc.ConnConfig.RuntimeParams["timezone"] = "Asia/Tokyo"
			pc.ConnConfig.Tracer = &c
			pc.BeforeConnect = func(_ context.Context, cc *pgx.ConnConfig) error {
				if cc.Password == "first" {
					ran[3].Add(1)
				}
				return nil
			}
			pc.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
				ran[4].Add(1)
				_, err := conn.Exec(ctx, "set search_path to shop")
				return err
			}
			pc.PrepareConn = func(context.Context, *pgx.Conn) (bool, error) { ran[5].Add(1); return true, nil }
			pc.AfterRelease = func(*pgx.Conn) bool { ran[6].Add(1); return true }
			pc.BeforeClose = func(*pgx.Conn) { ran[7].Add(1) }
			pc.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { ran[8].Add(1); return true }
			return nil
		}))
	_, err := db.Exec(within(t), "do $$ begin raise notice 'heard'; end $$")
	require.NoError(t, err)
	require.Equal(t, "Asia/Tokyo", settingOf(t, db, within(t), "timezone"))
	var p person
	require.NoError(t, db.QueryRow(as(t, "acme"), "select p from people p").Scan(&p))
	require.Equal(t, ann, p)
	require.NoError(t, db.Close(context.Background()))
	for i, hook := range []string{"PasswordSource", "DialFunc", "OnNotice", "BeforeConnect after PasswordSource", "AfterConnect",
		"PrepareConn", "AfterRelease", "BeforeClose", "ShouldPing"} {
		require.NotZero(t, ran[i].Load(), hook)
	}
	require.NotZero(t, c.loads.Load(), "Tracer")
}

func TestTheOlderBeforeAcquireStillRefusesConnections(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	var refused atomic.Bool
	db := reopen(t, notesDB(t), func(c *fxdb.Config) { c.PoolMax = 1 }, fxdb.WithConfigurePool(func(pc *pgxpool.Config) error {
		pc.BeforeAcquire = func(context.Context, *pgx.Conn) bool { return refused.Swap(true) } //nolint:staticcheck // the subject
		return nil
	}))
	require.NoError(t, db.Ping(within(t)))
	require.EqualValues(t, 2, db.Stats().Opened)
}

func TestConfigurePoolLeavesTheSettingsAlone(t *testing.T) {
	t.Parallel()
	for setting, change := range map[string]func(*pgxpool.Config){
		"DB_POOL_MAX":             func(pc *pgxpool.Config) { pc.MaxConns++ },
		"DB_POOL_MIN":             func(pc *pgxpool.Config) { pc.MinConns++ },
		"DB_MAX_LIFETIME_MS":      func(pc *pgxpool.Config) { pc.MaxConnLifetime = 0 },
		"DB_IDLE_TIMEOUT_MS":      func(pc *pgxpool.Config) { pc.MaxConnIdleTime = 0 },
		"DB_APPLICATION_NAME":     func(pc *pgxpool.Config) { pc.ConnConfig.RuntimeParams["application_name"] = "mine" },
		"DB_STATEMENT_TIMEOUT_MS": func(pc *pgxpool.Config) { delete(pc.ConnConfig.RuntimeParams, "statement_timeout") },
		"DB_LOCK_TIMEOUT_MS":      func(pc *pgxpool.Config) { pc.ConnConfig.RuntimeParams["lock_timeout"] = "1" },
		"DB_IDLE_IN_TX_TIMEOUT_MS": func(pc *pgxpool.Config) {
			pc.ConnConfig.RuntimeParams = map[string]string{"application_name": pc.ConnConfig.RuntimeParams["application_name"], "statement_timeout": pc.ConnConfig.RuntimeParams["statement_timeout"], "lock_timeout": pc.ConnConfig.RuntimeParams["lock_timeout"]}
		},
	} {
		_, err := openOn(t, "postgres://h/d", nil, fxdb.WithConfigurePool(func(pc *pgxpool.Config) error { change(pc); return nil }))
		var bad *fxdb.ConfigError
		require.ErrorAs(t, err, &bad, setting)
		require.Equal(t, setting, bad.Setting)
		require.ErrorContains(t, err, "fxdb.ConfigurePool")
	}
	for want, change := range map[string]func(*pgxpool.Config) error{
		"no file":                func(*pgxpool.Config) error { return errors.New("no file") },
		"panicked: out of order": func(*pgxpool.Config) error { panic("out of order") },
		"the function is nil":    nil,
		"ConnConfig is nil":      func(pc *pgxpool.Config) error { pc.ConnConfig = nil; return nil },
		"must stay UTF8":         func(pc *pgxpool.Config) error { pc.ConnConfig.RuntimeParams["client_encoding"] = "LATIN1"; return nil },
		"ParseConfig": func(pc *pgxpool.Config) error {
			*pc = pgxpool.Config{ConnConfig: pc.ConnConfig, MaxConns: pc.MaxConns, MinConns: pc.MinConns, MaxConnLifetime: pc.MaxConnLifetime, MaxConnLifetimeJitter: pc.MaxConnLifetimeJitter, MaxConnIdleTime: pc.MaxConnIdleTime}
			return nil
		},
	} {
		_, err := openOn(t, "postgres://h/d", nil, fxdb.WithConfigurePool(change))
		require.ErrorContains(t, err, want)
	}
	_, err := openOn(t, "postgres://h/d", func(c *fxdb.Config) { c.Pooler = "transaction" }, fxdb.WithConfigurePool(func(pc *pgxpool.Config) error {
		pc.ConnConfig.RuntimeParams["search_path"] = "shop"
		return nil
	}))
	require.ErrorContains(t, err, "transaction can't carry search_path")
}

func TestAPanicInBeforeConnectFailsTheConnectionAlone(t *testing.T) {
	t.Parallel()
	_, err := openOn(t, urlOf(t), nil, fxdb.WithConfigurePool(func(pc *pgxpool.Config) error {
		pc.BeforeConnect = func(context.Context, *pgx.ConnConfig) error { panic("no token") }
		return nil
	}))
	require.ErrorContains(t, err, "BeforeConnect panicked: no token")
}

// A dialer of production leads nowhere from a test, and a token is for another server.
func TestConfigurePoolInASwappedGraphStaysOnTheTestsDatabase(t *testing.T) {
	t.Parallel()
	var db *fxdb.DB
	app := fxtest.New(t, fxdb.Module, testkit.Swap(t), fx.Populate(&db), fxdb.ConfigurePool(func(pc *pgxpool.Config) error {
		pc.ConnConfig.Host, pc.ConnConfig.Password = "production", "secret"
		pc.ConnConfig.DialFunc = func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("production was dialled")
		}
		pc.BeforeConnect = func(context.Context, *pgx.ConnConfig) error { return errors.New("production was asked for a token") }
		pc.ConnConfig.RuntimeParams["timezone"] = "Asia/Tokyo"
		return nil
	}))
	app.RequireStart()
	defer app.RequireStop()
	require.Equal(t, "Asia/Tokyo", settingOf(t, db, within(t), "timezone"))
}
