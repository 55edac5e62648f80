package fxdb_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/testkit"
)

// BenchmarkTenant reads one row of a tenant's by its key, in each way that there is,
// and counts what each takes on the wire: on loopback, one at a time and by more
// goroutines than the processors can serve, and over 1 ms of network. The first way
// has no policy: it names the tenant in its WHERE.
func BenchmarkTenant(b *testing.B) {
	for _, c := range []struct {
		name            string
		delay           time.Duration
		goroutines, run int
	}{
		{"loopback", 0, 1, 200},
		{"loopback by 8", 0, 8, 50},
		{"network 1ms", time.Millisecond, 1, 20},
	} {
		b.Run(c.name, func(b *testing.B) {
			w := newWire(b, c.delay)
			_, err := testkit.OwnerPool(b, w.db).Exec(b.Context(), `
				create table notes.open (tenant_id text, id bigint, body text, primary key (tenant_id, id));
				insert into notes.open select 't' || n % 100, n, 'body ' || n from generate_series(1, 200000) n;
				alter table notes.notes no force row level security;
				insert into notes.notes (tenant_id, id, body) overriding system value select tenant_id, id, body from notes.open;
				alter table notes.notes force row level security;
				grant select on notes.open to public; analyze notes.open, notes.notes;`)
			require.NoError(b, err)
			open := func(url string) (*pgxpool.Pool, *fxdb.DB) {
				cfg, err := pgxpool.ParseConfig(url)
				require.NoError(b, err)
				cfg.MaxConns = int32(2 * c.goroutines)                                                            // nobody waits
				cfg.ConnConfig.RuntimeParams = fxdb.ConnConfig(b, fxdb.Config{URL: url}).ConnConfig.RuntimeParams // as in pools
				pool, err := pgxpool.NewWithConfig(b.Context(), cfg)
				require.NoError(b, err)
				b.Cleanup(pool.Close)
				db, err := fxdb.Open(b.Context(), fxdb.Config{URL: url, PoolMin: 1, PoolMax: 2 * c.goroutines})
				require.NoError(b, err)
				b.Cleanup(func() { _ = db.Close(context.Background()) })
				return pool, db
			}

			const (
				set    = "select set_config('app.current_tenant', $1, true)"
				scoped = "select body from notes.notes where id = $1"
			)
			ctx := b.Context()
			tenants := make([]context.Context, 100)
			for i := range tenants {
				tenants[i] = as(b, "t"+strconv.Itoa(i))
			}
			// of reads somebody's row and checks it.
			of := func(read func(tenant context.Context, name string, id int, body *string) error) func() error {
				return func() error {
					id := 1 + rand.IntN(200000)
					var body string
					err := read(tenants[id%100], "t"+strconv.Itoa(id%100), id, &body)
					if err == nil && body != "body "+strconv.Itoa(id) {
						err = fmt.Errorf("row %d has %q", id, body)
					}
					return err
				}
			}
			ways := func(pool *pgxpool.Pool, db *fxdb.DB) []way {
				return []way{
					{"plain", of(func(_ context.Context, name string, id int, body *string) error {
						return pool.QueryRow(ctx, "select body from notes.open where tenant_id = $1 and id = $2", name, id).Scan(body)
					})},
					{"begin-set-query-commit", of(func(_ context.Context, name string, id int, body *string) error {
						return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
							if _, err := tx.Exec(ctx, set, name); err != nil {
								return err
							}
							return tx.QueryRow(ctx, scoped, id).Scan(body)
						})
					})},
					{"session", of(func(_ context.Context, name string, id int, body *string) error {
						return pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
							if _, err := conn.Exec(ctx, "select set_config('app.current_tenant', $1, false)", name); err != nil {
								return err
							}
							return conn.QueryRow(ctx, scoped, id).Scan(body)
						})
					})},
					{"pgx.Batch", of(func(_ context.Context, name string, id int, body *string) error {
						batch := &pgx.Batch{}
						batch.Queue(set, name)
						batch.Queue(scoped, id)
						br := pool.SendBatch(ctx, batch)
						_, err := br.Exec()
						if err == nil {
							err = br.QueryRow().Scan(body)
						}
						if closeErr := br.Close(); err == nil {
							err = closeErr
						}
						return err
					})},
					{"pgconn", of(func(_ context.Context, name string, id int, body *string) error {
						return pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
							first, err := conn.Conn().Prepare(ctx, "set", set) // pgx knows it the second time
							if err != nil {
								return err
							}
							second, err := conn.Conn().Prepare(ctx, "read", scoped)
							if err != nil {
								return err
							}
							batch := &pgconn.Batch{}
							batch.ExecStatement(first, [][]byte{[]byte(name)}, nil, nil)
							batch.ExecStatement(second, [][]byte{strconv.AppendInt(nil, int64(id), 10)}, nil, nil)
							results, err := conn.Conn().PgConn().ExecBatch(ctx, batch).ReadAll()
							if err == nil {
								*body = string(results[1].Rows[0][0])
							}
							return err
						})
					})},
					{"onepool", of(func(tenant context.Context, _ string, id int, body *string) error {
						return db.QueryRow(tenant, scoped, id).Scan(body)
					})},
				}
			}
			flights := make(map[string]int64)
			counted := ways(open(w.URL))
			for _, way := range counted {
				require.NoError(b, way.do(), way.name)
				flights[way.name] = w.during(b, way.do)
			}
			require.EqualValues(b, 1, flights["onepool"])
			if c.delay == 0 {
				counted = ways(open(w.db.Pool().Config().ConnString())) // no proxy in between
			}
			compare(b, c.goroutines, c.run, counted...)
			for name, n := range flights {
				b.ReportMetric(float64(n), name+"-flights")
			}
		})
	}
}
