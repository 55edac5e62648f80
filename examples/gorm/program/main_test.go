package main

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"
	"go.uber.org/goleak"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// The test kit's server connection lives as long as the process.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/agentagency/onepool/testkit.init.OnceValues[...].func1"),
		goleak.IgnoreTopFunction("github.com/jackc/pgx/v5/pgxpool.(*Pool).backgroundHealthCheck"),
		goleak.IgnoreAnyFunction("github.com/agentagency/onepool/fxdb/devdb.(*supervisor).watch"),
		// gorm's cache of prepared statements, which has no end.
		goleak.IgnoreTopFunction("gorm.io/gorm/internal/lru.NewLRU[...].func1"))
}

func start(t *testing.T) (db *gorm.DB, pool *fxdb.DB) {
	t.Helper()
	app := fxtest.New(t, Module, testkit.Swap(t), fx.Populate(&db, &pool))
	app.RequireStart()
	t.Cleanup(app.RequireStop)
	return db, pool
}

func as(t *testing.T, name string) context.Context {
	return tenant.NewContext(t.Context(), tenant.Identity{Tenant: name})
}

func TestTwoTenantsDoNotSeeEachOther(t *testing.T) {
	t.Parallel()
	db, pool := start(t)
	var out strings.Builder
	require.NoError(t, Show(t.Context(), &out, db))
	require.Equal(t, `acme has 2, the last is "acme's second"
globex has 1, the last is "globex's only"
globex changed 0 of acme's
without a tenant: refused true
`, out.String())
	require.Zero(t, pool.Stats().Active)
	var notes fxdb.ClientStats
	for _, c := range pool.Stats().Clients {
		if c.Name == "notes" {
			notes = c
		}
	}
	require.NotZero(t, notes.Acquired, "gorm did not work through the client's pool")
}

func TestGormsTransactionsAndErrors(t *testing.T) {
	t.Parallel()
	db, _ := start(t)
	acme := db.WithContext(as(t, "acme"))
	require.NoError(t, acme.Create(&[]Note{{Body: "one"}, {Body: "two"}}).Error)

	// A savepoint is rolled back, its transaction is not.
	require.NoError(t, acme.Transaction(func(tx *gorm.DB) error {
		require.NoError(t, tx.Create(&Note{Body: "three"}).Error)
		require.Error(t, tx.Transaction(func(inner *gorm.DB) error {
			require.NoError(t, inner.Create(&Note{Body: "four"}).Error)
			return context.Canceled
		}))
		require.ErrorIs(t, tx.WithContext(as(t, "globex")).Create(&Note{Body: "five"}).Error, fxdb.ErrTenantMismatch)
		return nil
	}))
	var count int64
	require.NoError(t, acme.Model(&Note{}).Count(&count).Error)
	require.EqualValues(t, 3, count)

	var rows []map[string]any
	require.NoError(t, acme.Model(&Note{}).Select("body").Order("id").Find(&rows).Error)
	require.Equal(t, []map[string]any{{"body": "one"}, {"body": "two"}, {"body": "three"}}, rows)

	var first Note
	require.NoError(t, acme.First(&first).Error)
	require.ErrorIs(t, acme.Create(&Note{ID: first.ID, Body: "again"}).Error, gorm.ErrDuplicatedKey)
	require.ErrorIs(t, acme.First(&Note{}, "body = ?", "none").Error, gorm.ErrRecordNotFound)
}

// gorm keeps one prepared statement for all tenants; each use has its own.
func TestGormsPreparedStatements(t *testing.T) {
	t.Parallel()
	unprepared, _ := start(t)
	pool, err := unprepared.DB()
	require.NoError(t, err)
	db, err := gorm.Open(postgres.New(postgres.Config{Conn: pool}), &gorm.Config{PrepareStmt: true, DisableAutomaticPing: true, Logger: logger.Discard})
	require.NoError(t, err)
	for range 3 {
		for _, name := range []string{"acme", "globex"} {
			own := db.WithContext(as(t, name))
			require.NoError(t, own.Create(&Note{Body: "of " + name}).Error)
			var bodies []string
			require.NoError(t, own.Model(&Note{}).Distinct().Pluck("body", &bodies).Error)
			require.Equal(t, []string{"of " + name}, bodies)
		}
	}
}
