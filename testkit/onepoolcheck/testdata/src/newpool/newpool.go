package newpool

import (
	"context"
	"database/sql"
	"database/sql/driver"

	"github.com/agentagency/onepool/fxdb"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	renamed "github.com/jackc/pgx/v5/stdlib"
	"go.uber.org/fx"
)

func newPool(ctx context.Context) (*pgxpool.Pool, error) {
	return pgxpool.New(ctx, "") // want `pgxpool.New opens a pool beside the program's pool`
}

func withConfig(ctx context.Context, cfg *pgxpool.Config) {
	pool, err := pgxpool.NewWithConfig(ctx, cfg) // want `pgxpool.NewWithConfig opens a pool`
	_, _ = pool, err
}

func connect(ctx context.Context) {
	_, _ = pgx.Connect(ctx, "")        // want `pgx.Connect opens a connection`
	_, _ = pgx.ConnectConfig(ctx, nil) // want `pgx.ConnectConfig opens a connection`
	_, _ = pgconn.Connect(ctx, "")     // want `pgconn.Connect opens a connection`
}

var asValue = pgxpool.New // want `pgxpool.New opens a pool`

var provided = fx.Provide(pgxpool.NewWithConfig) // want `pgxpool.NewWithConfig opens a pool`

const driverName = "pgx"

func databaseSQL() {
	_, _ = sql.Open("pgx", "")      // want `sql.Open\("pgx", …\) opens a pool`
	_, _ = sql.Open(driverName, "") // want `sql.Open`
	_, _ = sql.Open("pgx/v5", "")   // want `sql.Open`
	_, _ = sql.Open("postgres", "") // want `sql.Open`
	_, _ = sql.Open("sqlite", "")   // another database
}

func byName(name string) { _, _ = sql.Open(name, "") } // unknown driver

func throughStdlib(cfg pgx.ConnConfig, pool *pgxpool.Pool) {
	_ = renamed.OpenDB(cfg)          // want `stdlib.OpenDB opens a pool`
	_ = renamed.OpenDBFromPool(pool) // want `stdlib.OpenDBFromPool opens a \*sql.DB`
	_ = renamed.GetConnector(cfg)    // want `stdlib.GetConnector opens a pool`
}

func ofAnotherDriver(c driver.Connector) *sql.DB { return sql.OpenDB(c) }

func onlyParses() (*pgxpool.Config, error) { return pgxpool.ParseConfig("") }

func onlyParsesOne() (*pgx.ConnConfig, error) { return pgx.ParseConfig("") }

func fromThePool(ctx context.Context, pool *pgxpool.Pool) { _, _ = pool.Acquire(ctx) }

func thePoolItself(ctx context.Context) { _, _ = fxdb.Open(ctx, fxdb.Config{}) }

type mine struct{}

func (mine) New(context.Context, string) {}

func sameNameOnly(ctx context.Context, pgxpool mine) { pgxpool.New(ctx, "") }

func allowedInLine(ctx context.Context) {
	_, _ = pgx.Connect(ctx, "") //onepoolcheck:allow newpool a replication connection is no pool's
}

func allowedAbove(ctx context.Context) {
	//onepoolcheck:allow newpool a replication connection is no pool's
	_, _ = pgx.Connect(ctx, "")
	_, _ = pgx.Connect(ctx, "") // want `pgx.Connect opens a connection`
}

// allowedFunction copies one database to another.
//
//onepoolcheck:allow newpool a tool that runs once
func allowedFunction(ctx context.Context) {
	_, _ = pgx.Connect(ctx, "")
	_, _ = pgx.Connect(ctx, "")
}

func withoutAReason(ctx context.Context) {
	/* want `needs a reason` */ //onepoolcheck:allow newpool
	_, _ = pgx.Connect(ctx, "") // want `pgx.Connect opens a connection`
}

func anotherRule(ctx context.Context) {
	//onepoolcheck:allow txio the comment allows another rule's findings
	_, _ = pgx.Connect(ctx, "") // want `pgx.Connect opens a connection`
}
