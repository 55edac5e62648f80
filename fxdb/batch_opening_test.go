package fxdb_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
)

// batcher sends batches.
type batcher interface {
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// A batch's first members may be what must come before any query, if pgx takes the batch.
func TestABatchMayBeginWithWhatMustComeBeforeAnyQuery(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t)
	plain := plainPool(t, db)
	limited := db.Named("limited", fxdb.Timeouts(fxdb.ServerTimeouts{Statement: patience}))
	const lock, insert = "lock table notes.plain in share row exclusive mode", "insert into notes.plain values (7)"
	for name, texts := range map[string][]string{
		"lock":                     {lock},
		"lock and more":            {lock, insert, txState},
		"set local":                {"set local work_mem = '2MB'", "show work_mem"},
		"set local, query, set":    {"set local work_mem = '2MB'", "select 1", serializable},
		"set transaction":          {serializable, txState},
		"two":                      {serializable, "set transaction read only, deferrable", txState},
		"lock, set":                {lock, serializable, txState},
		"set local, set":           {"set local work_mem = '2MB'", serializable, txState},
		"show, set":                {"show work_mem", serializable, txState},
		"a savepoint, set":         {"savepoint s", "release s", serializable, txState},
		"a savepoint, lock, back":  {"savepoint s", lock, "rollback to s", txState},
		"notify, set":              {"notify onepool_opening, 'x'", serializable, txState},
		"comment, set":             {"/* app */ " + serializable, txState},
		"query, set":               {"select 1", serializable, txState},
		"set by name":              {"set local transaction_isolation = 'serializable'", txState},
		"set by name of session":   {"set transaction_read_only = on", insert},
		"set read only":            {"set transaction read only", insert},
		"set constraints":          {"set constraints all deferred", serializable, txState},
		"a mistake":                {"lock table notes.missing", txState},
		"a snapshot that is none":  {"set transaction isolation level repeatable read", "set transaction snapshot '00000003-0000001B-1'"},
		"characteristics, set":     {"set session characteristics as transaction read write", serializable, txState},
		"reset, set":               {"reset work_mem", serializable, txState},
		"nothing":                  {},
		"lock in the middle":       {txState, lock, txState},
		"set local in the middle":  {"select 1", "set local work_mem = '2MB'", "show work_mem"},
		"set transaction, no more": {serializable},
	} {
		for kind, begin := range map[string]bool{"": false, "begun": true} {
			if !begin && len(texts) > 0 && strings.HasPrefix(texts[0], "lock") && db.Monitor().ServerVersion() >= 180000 {
				continue // the server refuses a plain batch whose first statement is LOCK (25P01)
			}
			run := func(ctx context.Context, db batcher) (got string) {
				b := &pgx.Batch{}
				if begin {
					b.BeginTx(pgx.TxOptions{})
				}
				for _, sql := range texts {
					b.Queue(sql)
				}
				br := db.SendBatch(ctx, b)
				for range b.Len() {
					rows, err := br.Query()
					for rows != nil && rows.Next() {
						values, err := rows.Values()
						require.NoError(t, err)
						for _, v := range values {
							s, _ := v.(string)
							got += s + " "
						}
					}
					if err == nil {
						err = rows.Err()
					}
					got += rows.CommandTag().String() + codeOf(err) + "; "
				}
				tx := br.Tx()
				got += "close" + codeOf(br.Close())
				if tx != nil {
					var state string
					err := tx.QueryRow(ctx, txState).Scan(&state)
					got += " then " + state + codeOf(err) + codeOf(tx.Rollback(context.WithoutCancel(ctx)))
				}
				return got
			}
			want := run(within(t), plain)
			for who, use := range map[string]func() string{
				"a tenant": func() string { return run(as(t, "acme"), db) },
				"limits":   func() string { return run(within(t), limited) },
				"nobody":   func() string { return run(within(t), db) },
			} {
				if got := use(); got != want {
					t.Errorf("%s %s: %s\nplain %s\n got  %s", kind, name, who, want, got)
				}
			}
		}
	}
}
