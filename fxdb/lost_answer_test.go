package fxdb_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/testkit"
)

// answered are the ways of sending what writes a row with marker. The connection is cut
// when the answer to cut comes.
var answered = map[string]struct {
	cut string // empty: the marker
	use func(ctx context.Context, db *fxdb.DB, marker string) error
}{
	"Exec": {"", func(ctx context.Context, db *fxdb.DB, marker string) error {
		_, err := db.Exec(ctx, "insert into notes.lost values ($1)", marker)
		return err
	}},
	"Exec without parameters": {"", func(ctx context.Context, db *fxdb.DB, marker string) error {
		_, err := db.Exec(ctx, "insert into notes.lost values ('"+marker+"')")
		return err
	}},
	"Exec of several": {"", func(ctx context.Context, db *fxdb.DB, marker string) error {
		_, err := db.Exec(ctx, "select 1; insert into notes.lost values ('"+marker+"')")
		return err
	}},
	"Exec, mode exec": {"", func(ctx context.Context, db *fxdb.DB, marker string) error {
		_, err := db.Exec(ctx, "insert into notes.lost values ($1)", pgx.QueryExecModeExec, marker)
		return err
	}},
	"Exec, simple": {"", func(ctx context.Context, db *fxdb.DB, marker string) error {
		_, err := db.Exec(ctx, "insert into notes.lost values ($1)", pgx.QueryExecModeSimpleProtocol, marker)
		return err
	}},
	"Query": {"", func(ctx context.Context, db *fxdb.DB, marker string) error {
		rows, err := db.Query(ctx, "insert into notes.lost values ($1) returning body", marker)
		if err != nil {
			return err
		}
		_, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	}},
	"Query, simple": {"", func(ctx context.Context, db *fxdb.DB, marker string) error {
		rows, err := db.Query(ctx, "insert into notes.lost values ($1) returning body", pgx.QueryExecModeSimpleProtocol, marker)
		if err != nil {
			return err
		}
		rows.Close()
		return rows.Err()
	}},
	"QueryRow": {"", func(ctx context.Context, db *fxdb.DB, marker string) error {
		var body string
		return db.QueryRow(ctx, "insert into notes.lost values ($1) returning body", marker).Scan(&body)
	}},
	"QueryRow, simple": {"", func(ctx context.Context, db *fxdb.DB, marker string) error {
		var body string
		return db.QueryRow(ctx, "insert into notes.lost values ($1) returning body", pgx.QueryExecModeSimpleProtocol, marker).Scan(&body)
	}},
	"SendBatch": {"", func(ctx context.Context, db *fxdb.DB, marker string) error {
		b := &pgx.Batch{}
		b.Queue("insert into notes.lost values ($1)", marker)
		b.Queue("select 1")
		return db.SendBatch(ctx, b).Close()
	}},
	"SendBatch, read": {"", func(ctx context.Context, db *fxdb.DB, marker string) error {
		b := &pgx.Batch{}
		b.Queue("insert into notes.lost values ($1)", marker)
		br := db.SendBatch(ctx, b)
		_, err := br.Exec()
		_ = br.Close()
		return err
	}},
	"CopyFrom": {"", func(ctx context.Context, db *fxdb.DB, marker string) error {
		_, err := db.CopyFrom(ctx, pgx.Identifier{"notes", "lost"}, []string{"body"}, pgx.CopyFromRows([][]any{{marker}}))
		return err
	}},
	"a commit": {"commit", func(ctx context.Context, db *fxdb.DB, marker string) error {
		return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "insert into notes.lost values ($1)", marker)
			return err
		})
	}},
	"a commit by hand": {"commit", func(ctx context.Context, db *fxdb.DB, marker string) error {
		tx, err := db.Begin(ctx)
		if err != nil {
			return err
		}
		if _, err = tx.Exec(ctx, "insert into notes.lost values ($1)", marker); err != nil {
			return err
		}
		return tx.Commit(ctx)
	}},
	"a commit query": {"commit and no chain", func(ctx context.Context, db *fxdb.DB, marker string) error {
		return db.InTx(ctx, pgx.TxOptions{CommitQuery: "commit and no chain"}, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "insert into notes.lost values ($1)", marker)
			return err
		})
	}},
	"the raw pool": {"", func(ctx context.Context, db *fxdb.DB, marker string) error {
		_, err := db.Pool().Exec(ctx, "insert into notes.lost values ('"+marker+"')")
		return err
	}},
}

// TestALostAnswerIsNeverSafeToRetry cuts the connection when the server has run the
// statement. Whoever asks pgconn.SafeToRetry must not send it again.
func TestALostAnswerIsNeverSafeToRetry(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	usual := []string{"Exec", "Exec without parameters", "QueryRow", "a commit", "the raw pool"}
	w := newWire(t, 0)
	_, err := w.db.Exec(t.Context(), "select")
	require.NoError(t, err)
	db := w.open(t)
	createLost(t, w.db)
	n := 0
	for name, c := range answered {
		if size.Of(false, !slices.Contains(usual, name), false) {
			continue
		}
		for who, ctx := range map[string]context.Context{"nobody": within(t), "a tenant": as(t, "acme")} {
			if name == "the raw pool" && who == "a tenant" || name == "CopyFrom" && who == "nobody" {
				continue // COPY has more than one answer
			}
			require.NoError(t, c.use(ctx, db, "known"), name)
			n++
			marker := fmt.Sprintf("lost-%d", n)
			cut := c.cut
			if cut == "" {
				cut = marker
			}
			w.cutAt(cut, true)
			err := c.use(ctx, db, marker)
			require.Error(t, err, "%s of %s", name, who)
			var ran int
			require.NoError(t, w.db.QueryRow(within(t), "select count(*) from notes.lost where body = $1", marker).Scan(&ran))
			if name != "Exec of several" { // more than one answer comes
				require.Equal(t, 1, ran, "%s of %s: the server ran it", name, who)
			}
			if pgconn.SafeToRetry(err) {
				t.Errorf("%s of %s is called safe to retry: %v", name, who, err)
			}
			if name != "the raw pool" && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
				t.Errorf("%s of %s does not name the cause: %v", name, who, err)
			}
			if !errors.Is(modules.Classify(err), modules.ErrUnavailable) {
				t.Errorf("%s of %s is not classified: %v", name, who, err)
			}
		}
	}
}

func createLost(t *testing.T, db *fxdb.DB) {
	t.Helper()
	_, err := testkit.OwnerPool(t, db).Exec(within(t), "create table notes.lost (body text)")
	require.NoError(t, err)
}
