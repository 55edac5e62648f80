package bench

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/peterldowns/pgtestdb"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/testkit"
)

// The environment of a process that runs the suite.
const (
	envKit      = "BENCH_KIT"
	envBinaries = "BENCH_BINARIES" // the folder of the server's programs
	envServer   = "BENCH_SERVER"
	envTests    = "BENCH_TESTS"
	envParallel = "BENCH_PARALLEL"
	envWork     = "BENCH_WORK" // the time that a test works for
)

// migration makes 30 tables.
func migration() string {
	var b strings.Builder
	for i := range 30 {
		fmt.Fprintf(&b, "create table t%d (id bigint generated always as identity primary key, name text not null, at timestamptz default now());\ncreate index on t%d (name);\n", i, i)
	}
	return b.String()
}

var files = fstest.MapFS{"00001_tables.sql": {Data: []byte("-- +goose Up\n" + migration())}}

// tables is the migrator of pgtestdb.
type tables struct{}

func (tables) Hash() (string, error) { return "bench-1", nil }

func (tables) Migrate(ctx context.Context, db *sql.DB, _ pgtestdb.Config) error {
	_, err := db.ExecContext(ctx, migration())
	return err
}

func onepoolPool(t *testing.T) *pgxpool.Pool {
	return testkit.Pool(t, testkit.Migrations("bench", files))
}

func pgtestdbPool(t *testing.T) *pgxpool.Pool {
	admin, err := pgx.ParseConfig(os.Getenv(envServer))
	require.NoError(t, err)
	made := pgtestdb.Custom(t, pgtestdb.Config{DriverName: "pgx", User: admin.User, Host: "localhost",
		Port: strconv.Itoa(int(admin.Port)), Database: admin.Database,
		Options: "sslmode=disable&host=" + admin.Host}, tables{}) // the parameter, a folder, wins over the name
	config, err := pgxpool.ParseConfig(fmt.Sprintf("host=%s port=%d user=%s password=%s dbname=%s sslmode=disable",
		admin.Host, admin.Port, made.User, made.Password, made.Database))
	require.NoError(t, err)
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// TestSuite is what a process runs: tests that write and read a row.
func TestSuite(t *testing.T) {
	kit := os.Getenv(envKit)
	if kit == "" {
		t.Skip("a process of TestCompare runs the suite")
	}
	pool := map[string]func(*testing.T) *pgxpool.Pool{
		"onepool": onepoolPool, "pgtestdb": pgtestdbPool,
		"embedded-postgres": freshPool(startEmbedded), "postgrestest": freshPool(startPostgrestest),
	}[kit]
	t.Cleanup(func() { require.NoError(t, stopServer()) })
	tests, err := strconv.Atoi(os.Getenv(envTests))
	require.NoError(t, err)
	work, err := time.ParseDuration(os.Getenv(envWork))
	require.NoError(t, err)
	var mu sync.Mutex
	var foreground []time.Duration
	t.Run("tests", func(t *testing.T) {
		for i := range tests {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				if os.Getenv(envParallel) != "1" {
					t.Parallel()
				}
				began := time.Now()
				pool := pool(t)
				require.NoError(t, pool.Ping(t.Context()))
				took := time.Since(began)
				mu.Lock()
				foreground = append(foreground, took)
				mu.Unlock()
				_, err := pool.Exec(t.Context(), "insert into t0 (name) values ('a')")
				require.NoError(t, err)
				if work > 0 {
					<-time.After(work)
				}
				var n int
				require.NoError(t, pool.QueryRow(t.Context(), "select count(*) from t0").Scan(&n))
				require.Equal(t, 1, n)
			})
		}
	})
	require.False(t, t.Failed())
	slices.Sort(foreground)
	fmt.Printf("foreground %d\n", foreground[len(foreground)/2].Microseconds())
}
