package fxdb_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/testkit"
)

// BenchmarkTenant reads one row of a tenant's by its key, in each way that there is,
// on loopback and over 1 ms of network, and counts what each takes on the wire. The
// first way has no policy: it names the tenant in its WHERE.
func BenchmarkTenant(b *testing.B) {
	for name, delay := range map[string]time.Duration{"loopback": 0, "network 1ms": time.Millisecond} {
		b.Run(name, func(b *testing.B) {
			w := newWire(b, delay)
			owner := testkit.Owner(b, w.db)
			_, err := owner.Exec(b.Context(), `
				create table notes.open (tenant_id text, id bigint, body text, primary key (tenant_id, id));
				insert into notes.open select 't' || n % 100, n, 'body ' || n from generate_series(1, 20000) n;
				alter table notes.notes no force row level security;
				insert into notes.notes (tenant_id, id, body) overriding system value select tenant_id, id, body from notes.open;
				alter table notes.notes force row level security;
				grant select on notes.open to public; analyze notes.open, notes.notes;`)
			require.NoError(b, err)
			url := w.URL
			if delay == 0 {
				url = w.db.Pool().Config().ConnString() // no proxy in between
			}
			cfg, err := pgxpool.ParseConfig(url)
			require.NoError(b, err)
			cfg.ConnConfig.RuntimeParams = fxdb.ConnConfig(b, fxdb.Config{URL: url}).ConnConfig.RuntimeParams // as in pools
			pool, err := pgxpool.NewWithConfig(b.Context(), cfg)
			require.NoError(b, err)
			b.Cleanup(pool.Close)
			w.URL = url
			db := w.open(b)

			const (
				set    = "select set_config('app.current_tenant', $1, true)"
				scoped = "select body from notes.notes where id = $1"
			)
			ctx, acme := b.Context(), as(b, "t7")
			var body string
			ways := []way{
				{"plain", func() error {
					return pool.QueryRow(ctx, "select body from notes.open where tenant_id = $1 and id = $2", "t7", 7).Scan(&body)
				}},
				{"begin-set-query-commit", func() error {
					return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
						if _, err := tx.Exec(ctx, set, "t7"); err != nil {
							return err
						}
						return tx.QueryRow(ctx, scoped, 7).Scan(&body)
					})
				}},
				{"session", func() error {
					return pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
						if _, err := conn.Exec(ctx, "select set_config('app.current_tenant', $1, false)", "t7"); err != nil {
							return err
						}
						return conn.QueryRow(ctx, scoped, 7).Scan(&body)
					})
				}},
				{"pgx.Batch", func() error {
					batch := &pgx.Batch{}
					batch.Queue(set, "t7")
					batch.Queue(scoped, 7)
					br := pool.SendBatch(ctx, batch)
					_, err := br.Exec()
					if err == nil {
						err = br.QueryRow().Scan(&body)
					}
					if closeErr := br.Close(); err == nil {
						err = closeErr
					}
					return err
				}},
				{"onepool", func() error { return db.QueryRow(acme, scoped, 7).Scan(&body) }},
			}
			flights := make([]float64, len(ways))
			for i, way := range ways {
				require.NoError(b, way.do())
				if delay > 0 {
					flights[i] = float64(w.during(b, way.do))
				}
				require.Equal(b, "body 7", body, way.name)
				body = ""
			}
			compare(b, 20, ways...)
			if delay > 0 {
				for i, way := range ways {
					b.ReportMetric(flights[i], way.name+"-flights")
				}
			}
		})
	}
}
