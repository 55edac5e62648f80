package tenantlost

import (
	"context"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/tenant"
)

func withValue(ctx context.Context, db *fxdb.DB, key any) {
	_, _ = db.Exec(context.WithValue(ctx, key, 1), "")
}

func ofTheRequest(db *fxdb.DB) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { _, _ = db.Exec(r.Context(), "") }
}

func ownInGoroutine(ctx context.Context, db *fxdb.DB) {
	go func() { _, _ = db.Exec(context.WithoutCancel(ctx), "") }()
}

func inTransaction(ctx context.Context, db *fxdb.DB) error {
	return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		_, err := tx.Exec(context.Background(), "") // the transaction has its tenant
		return err
	})
}

func systemOfOwn(ctx context.Context, db *fxdb.DB) {
	_, _ = db.Exec(tenant.System(ctx, "count the tenants"), "")
}

func sleeps(ctx context.Context, d time.Duration) {
	wait, cancel := context.WithTimeout(context.Background(), d) // reaches no client
	defer cancel()
	<-wait.Done()
}

func noClient(ctx context.Context) { logs(context.Background()) }

func logs(context.Context) {}
