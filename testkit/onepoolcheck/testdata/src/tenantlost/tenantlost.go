package tenantlost

import (
	"context"
	"database/sql"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/tenant"
)

type orders struct{ db *fxdb.DB }

func (o *orders) Save(ctx context.Context, id string) error {
	_, err := o.db.Exec(ctx, "")
	return err
}

func (o *orders) Close(ctx context.Context) error { return nil }

func background(ctx context.Context, db *fxdb.DB) {
	_, _ = db.Exec(context.Background(), "") // want `fxdb.DB.Exec gets a context without the tenant`
}

func todo(ctx context.Context, db *fxdb.DB) {
	_, _ = db.Query(context.TODO(), "") // want `fxdb.DB.Query gets a context without the tenant`
}

func own(ctx context.Context, db *fxdb.DB) { _, _ = db.Exec(ctx, "") }

func withoutCancel(ctx context.Context, db *fxdb.DB) {
	_, _ = db.Exec(context.WithoutCancel(ctx), "")
}

func noContext(db *fxdb.DB) { _, _ = db.Exec(context.Background(), "") }

func variable(ctx context.Context, db *fxdb.DB) {
	clean := context.Background()
	_, _ = db.Exec(clean, "") // want `fxdb.DB.Exec gets a context without the tenant`
}

func derived(ctx context.Context, db *fxdb.DB) {
	clean, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, _ = db.Exec(clean, "") // want `fxdb.DB.Exec gets a context without the tenant`
}

func derivedOfOwn(ctx context.Context, db *fxdb.DB) {
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, _ = db.Exec(short, "")
}

func newIdentity(ctx context.Context, db *fxdb.DB) {
	as := tenant.NewContext(context.Background(), tenant.Identity{Tenant: "acme"})
	_, _ = db.Exec(as, "")
	_, _ = db.Exec(tenant.System(context.Background(), "nightly sums"), "")
}

func client(ctx context.Context, o *orders) {
	_ = o.Save(context.Background(), "1") // want `tenantlost.orders.Save gets a context without the tenant`
	_ = o.Close(context.Background())     // belongs to no request
}

type outer struct{ orders orders }

func (o outer) Save(ctx context.Context) error { return o.orders.Save(ctx, "1") }

func clientOfClient(ctx context.Context, o outer) {
	_ = o.Save(context.TODO()) // want `tenantlost.outer.Save gets a context without the tenant`
}

func handler(db *fxdb.DB) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = db.Exec(context.Background(), "") // want `fxdb.DB.Exec gets a context without the tenant`
	}
}

func goroutine(ctx context.Context, db *fxdb.DB) {
	go func() {
		_, _ = db.Exec(context.Background(), "") // want `fxdb.DB.Exec gets a context without the tenant`
	}()
}

func unnamed(_ context.Context, db *fxdb.DB) {
	_, _ = db.Exec(context.Background(), "") // want `fxdb.DB.Exec gets a context without the tenant`
}

func transaction(ctx context.Context, db *fxdb.DB) error {
	tx, err := db.Begin(context.Background()) // want `fxdb.DB.Begin gets a context without the tenant`
	if err != nil {
		return err
	}
	defer tx.Rollback(context.Background()) // the transaction has its tenant
	return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error { return nil })
}

func pools(ctx context.Context, pool *pgxpool.Pool, db *sql.DB) {
	_, _ = pool.Exec(context.Background(), "")      // want `pgxpool.Pool.Exec gets a context without the tenant`
	_, _ = db.ExecContext(context.Background(), "") // want `sql.DB.ExecContext gets a context without the tenant`
	_ = pool.Ping(context.Background())             // asks no table
	defer pool.Exec(context.Background(), "")       // cleans up after a cancellation
	go func() { _, _ = pool.Exec(context.Background(), "") }()
}

func cleanup(ctx context.Context, t testing.TB, pool *pgxpool.Pool, db *fxdb.DB) {
	t.Cleanup(func() { _, _ = pool.Exec(context.Background(), "") }) // the test's context has ended
	context.AfterFunc(ctx, func() { _, _ = pool.Exec(context.Background(), "") })
	t.Cleanup(func() { _, _ = db.Exec(context.Background(), "") }) // want `fxdb.DB.Exec gets a context without the tenant`
	each(func() { _, _ = pool.Exec(context.Background(), "") })    // want `pgxpool.Pool.Exec gets a context without the tenant`
}

func each(fn func()) { fn() }

func opening(ctx context.Context) { _, _ = fxdb.Open(context.Background(), fxdb.Config{}) }

func twice(ctx context.Context, db *fxdb.DB, detach bool) {
	use := ctx
	if detach {
		use = context.Background()
	}
	_, _ = db.Exec(use, "") // either may be
}

func allowed(ctx context.Context, db *fxdb.DB) {
	//onepoolcheck:allow tenantlost the table of versions has no tenant
	_, _ = db.Exec(context.Background(), "")
}

const why = "migrate the tables"

func reasons(ctx context.Context, reason string) {
	_ = tenant.System(ctx, "")     // want `tenant.System needs a reason`
	_ = tenant.System(ctx, "  ")   // want `tenant.System needs a reason`
	_ = tenant.System(ctx, reason) // want `tenant.System needs a constant reason`
	_ = tenant.System(ctx, why)
	_ = tenant.System(ctx, "nightly "+why)
}
