package txio

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/fxdb"
)

func statementsOnly(ctx context.Context, db *fxdb.DB) error {
	return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "")
		return err
	})
}

func parsesURL(ctx context.Context, db *fxdb.DB) error {
	return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		_, err := url.Parse("http://localhost")
		return err
	})
}

func setsHeader(ctx context.Context, db *fxdb.DB, h http.Header) error {
	return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		h.Set("ETag", "1")
		return nil
	})
}

func counts(ctx context.Context, db *fxdb.DB, n *atomic.Int64) error {
	return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		n.Add(1)
		return nil
	})
}

func writesABuffer(ctx context.Context, db *fxdb.DB, b *bytes.Buffer) error {
	return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		_, err := b.WriteString("row")
		return err
	})
}

func unlocksOnly(ctx context.Context, db *fxdb.DB, mu *sync.Mutex) error {
	mu.Lock()
	return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		mu.Unlock()
		return nil
	})
}

func readsResponseOfBefore(ctx context.Context, db *fxdb.DB) error {
	answer, err := http.Get("http://localhost")
	if err != nil {
		return err
	}
	return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "", answer.StatusCode)
		return err
	})
}

func twoTransactions(ctx context.Context, db *fxdb.DB) error {
	nothing := func(tx pgx.Tx) error { return nil }
	if err := db.InTx(ctx, pgx.TxOptions{}, nothing); err != nil {
		return err
	}
	if err := send(); err != nil {
		return err
	}
	return db.InTx(ctx, pgx.TxOptions{}, nothing)
}

func afterRollback(ctx context.Context, db *fxdb.DB) error {
	tx, err := db.Begin(ctx)
	if err != nil {
		return err
	}
	if err := tx.Rollback(ctx); err != nil {
		return err
	}
	return send()
}
