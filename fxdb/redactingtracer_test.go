package fxdb_test

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant"
)

// gossip records all calls of a tracer for statements.
type gossip struct{ heard []string }

func (g *gossip) TraceQueryStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	g.heard = append(g.heard, fmt.Sprintf("%s %q", d.SQL, d.Args))
	return ctx
}

func (g *gossip) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (g *gossip) TraceBatchStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceBatchStartData) context.Context {
	for _, q := range d.Batch.QueuedQueries {
		g.heard = append(g.heard, fmt.Sprintf("%s %q", q.SQL, q.Arguments))
	}
	return ctx
}

func (g *gossip) TraceBatchQuery(_ context.Context, _ *pgx.Conn, d pgx.TraceBatchQueryData) {
	g.heard = append(g.heard, fmt.Sprintf("%s %q", d.SQL, d.Args))
}

func (g *gossip) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// A tracer counts and names the caller's statements only: the scope of a batch that begins a
// transaction goes through pgx, and is no statement of the caller.
func TestATracerHearsTheSameWithATenant(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	heard := &gossip{}
	db, err := fxdb.Open(t.Context(), fxdb.Config{URL: notesDB(t).Pool().Config().ConnString(), PoolMax: 1}, fxdb.WithTracer(heard))
	require.NoError(t, err)
	defer db.Close(context.WithoutCancel(t.Context()))
	hears := func(ctx context.Context) []string {
		heard.heard = nil
		b := &pgx.Batch{}
		b.BeginTx(pgx.TxOptions{})
		b.Queue("set transaction read only")
		b.Queue("select $1::int", 1)
		br := db.SendBatch(ctx, b)
		tx := br.Tx()
		require.NoError(t, br.Close())
		require.NoError(t, tx.Commit(ctx))
		return heard.heard
	}
	hears(t.Context()) // prepares the statements
	require.Equal(t, hears(t.Context()), hears(as(t, "acme")))
}

func TestTheIdentityIsNoTracersAndAlwaysAParameter(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	const secret = "the session's token"
	w := newWire(t, 0)
	var asText atomic.Bool
	w.Judge(func(b []byte) (forward, cut bool) {
		if bytes.Contains(b, []byte("'the session''s token'")) {
			asText.Store(true)
		}
		return true, false
	})
	modes := []string{"cache_statement", "simple_protocol", "cache_describe", "describe_exec", "exec"}
	for _, mode := range modes[:size.Of(2, 5, 5)] {
		t.Run(mode, func(t *testing.T) {
			asText.Store(false)
			heard := &gossip{}
			db, err := fxdb.Open(t.Context(), fxdb.Config{URL: w.URL + "&default_query_exec_mode=" + mode, PoolMax: 1}, fxdb.WithTracer(heard))
			require.NoError(t, err)
			defer db.Close(context.WithoutCancel(t.Context()))
			ctx := tenant.NewContext(t.Context(), tenant.Identity{Tenant: "acme", Session: secret})
			check := func(tx pgx.Tx) error {
				var got string
				require.NoError(t, tx.QueryRow(t.Context(), "select current_setting('app.current_session')").Scan(&got))
				require.Equal(t, secret, got)
				return nil
			}
			require.NoError(t, db.InTx(ctx, pgx.TxOptions{IsoLevel: pgx.Serializable}, check))
			require.NoError(t, db.InTx(ctx, pgx.TxOptions{BeginQuery: "begin read only"}, check))
			_, err = db.Exec(ctx, "select 1; select 2")
			require.NoError(t, err)
			b := &pgx.Batch{}
			b.Queue("select current_setting('app.current_session'), $1::text", "x").QueryRow(func(row pgx.Row) error {
				var got, x string
				defer func() { require.Equal(t, secret+" x", got+" "+x) }()
				return row.Scan(&got, &x)
			})
			b.Queue("select 2")
			require.NoError(t, db.SendBatch(ctx, b).Close())
			var n int
			require.NoError(t, db.QueryRow(ctx, "select $1::int", 1).Scan(&n))
			require.NotEmpty(t, heard.heard)
			for _, line := range heard.heard {
				require.NotContains(t, line, secret)
			}
			require.False(t, asText.Load(), "the identity was written into a statement's text")
			b = &pgx.Batch{}
			b.BeginTx(pgx.TxOptions{})
			b.Queue("select 1")
			br := db.SendBatch(ctx, b)
			tx := br.Tx()
			require.NoError(t, br.Close())
			require.NoError(t, check(tx))
			require.NoError(t, tx.Commit(t.Context()))
			for _, line := range heard.heard {
				require.NotContains(t, line, secret)
			}
		})
	}
}
