package fixtenantlost

import (
	"context"
	"net/http"
	"time"

	"github.com/agentagency/onepool/fxdb"
)

func save(ctx context.Context, db *fxdb.DB) {
	_, _ = db.Exec(context.Background(), "") // want `without the tenant`
}

func later(ctx context.Context, db *fxdb.DB) {
	detached, cancel := context.WithTimeout(context.TODO(), time.Second)
	defer cancel()
	_, _ = db.Exec(detached, "") // want `without the tenant`
}

func handle(db *fxdb.DB) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = db.Exec(context.Background(), "") // want `without the tenant`
	}
}

// The parameter has no name: no fix.
func unnamed(_ context.Context, db *fxdb.DB) {
	_, _ = db.Exec(context.Background(), "") // want `without the tenant`
}

// The name is another variable's: no fix.
func shadowed(ctx context.Context, db *fxdb.DB) {
	for ctx := range 3 {
		_, _ = db.Exec(context.Background(), "", ctx) // want `without the tenant`
	}
}
