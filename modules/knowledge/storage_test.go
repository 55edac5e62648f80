package knowledge_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/clienttest"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/keyset"
	"github.com/agentagency/onepool/modules/knowledge"
	"github.com/agentagency/onepool/testkit"
)

// The two ways in which embeddings are stored, by the name of the column's type.
const (
	arrays  = "_float4"
	vectors = "vector"
)

// onEachStorage runs a test once on each.
func onEachStorage(t *testing.T, test func(t *testing.T, c *knowledge.Client, db *fxdb.DB)) {
	t.Helper()
	for _, kind := range []string{arrays, vectors} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			c, db := newClientOn(t, kind)
			test(t, c, db)
		})
	}
}

// newClientOn is newClient on a database that stores embeddings in columns of the
// type kind. Where the server has no such database the test is skipped, and fails
// where CI is set.
func newClientOn(t testing.TB, kind string, opts ...testkit.Option) (*knowledge.Client, *fxdb.DB) {
	t.Helper()
	size.SkipShort(t) // the promises of the README have tests in other packages
	lacking := t.Skip
	if os.Getenv("CI") != "" {
		lacking = t.Fatal
	}
	if kind == vectors {
		var available bool
		scan(t, t.Context(), testkit.DB(t), "select exists (select from pg_available_extensions where name = 'vector')", &available)
		if !available {
			lacking("the server has no pgvector: .ci/pgvector installs it")
		}
		opts = append([]testkit.Option{testkit.Extension("vector")}, opts...)
	}
	c, db := newClient(t, opts...)
	got := clienttest.Catalog(t, db, `
		select typname::text from pg_attribute a join pg_type t on t.oid = a.atttypid
		where attrelid = 'knowledge.entries'::regclass and attname = 'embedding'`)
	if kind == arrays && got[0] == vectors {
		lacking("every database of this server has pgvector, or its owner may create it")
	}
	require.Equal(t, []string{kind}, got)
	return c, db
}

// The nearer entries of another tenant, which policies take away after the index has
// found them, don't use its answers up.
func TestVectorsAreFoundByTheIndex(t *testing.T) {
	t.Parallel()
	c, db := newClientOn(t, vectors)
	ctx, globex := as(t, "acme"), as(t, "globex")
	shelf(t, ctx, c)
	exec(t, globex, db, `insert into knowledge.entries (source, entity_id, kind, name, body, content_hash, embedding)
		select 'many', g::text, 'many', '', '', repeat('0', 64),
		       (select array_agg(case i when 1 then 1 else 0.004 * sin(g * i) end order by i)::real[] from generate_series(1, 768) i)
		from generate_series(1, 150) g`)
	// Entries that few searches compare one by one would need no index.
	for _, ctx := range []context.Context{ctx, globex} {
		exec(t, ctx, db, fmt.Sprintf(`insert into knowledge.entry_counts (source, kind, active, replaced, archived, needs_review, confidence)
			values ('', '', %d, 0, 0, 0, 0)`, knowledge.MaxCandidates))
	}
	owner := testkit.OwnerPool(t, db)

	hits, err := c.SearchSimilar(ctx, vector(0), knowledge.SearchOptions{K: 4})
	require.NoError(t, err)
	require.Equal(t, []string{"pool", "drain", "goose", "fx"}, found(hits))
	hits, err = c.SearchSimilar(globex, vector(0), knowledge.SearchOptions{K: 150})
	require.NoError(t, err)
	require.Len(t, hits, 150)

	// The settings of a search end with the search, in a joined transaction too.
	require.NoError(t, db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		var before, after string
		const settings = "select current_setting('enable_sort') || current_setting('jit')"
		require.NoError(t, tx.QueryRow(ctx, settings).Scan(&before))
		_, err := c.HybridSearch(modules.Join(ctx, tx), "pool", vector(0), knowledge.SearchOptions{})
		require.NoError(t, err)
		require.NoError(t, tx.QueryRow(ctx, settings).Scan(&after))
		require.Equal(t, before, after)
		return nil
	}))

	require.NoError(t, db.Close(t.Context())) // a session's end is when it counts at the latest
	require.Eventually(t, func() bool {
		var scans int
		err := owner.QueryRow(t.Context(), "select idx_scan from pg_stat_user_indexes where indexrelname = 'entries_embedding_idx'").Scan(&scans)
		return err == nil && scans >= 3
	}, 10*time.Second, 20*time.Millisecond, "the index was not asked by all searches")
}

func TestAnExactSearchHasABound(t *testing.T) {
	t.Parallel()
	c, db := newClientOn(t, arrays)
	ctx := as(t, "acme")
	shelf(t, ctx, c)
	exec(t, ctx, db, fmt.Sprintf(`insert into knowledge.entries (source, entity_id, kind, name, body, content_hash, embedding)
		select 'many', g::text, 'many', '', '', repeat('0', 64), array_fill(1::real, '{768}') from generate_series(1, %d) g`, knowledge.MaxCandidates-3))
	_, err := c.SearchSimilar(ctx, vector(0), knowledge.SearchOptions{})
	require.ErrorIs(t, err, knowledge.ErrTooManyCandidates)
	_, err = c.HybridSearch(ctx, "nowhere", vector(0), knowledge.SearchOptions{})
	require.ErrorIs(t, err, knowledge.ErrTooManyCandidates)
	for _, score := range []float64{-0.5, 0, 0.5} {
		after, err := keyset.Cursor(score, "00000000-0000-0000-0000-000000000000")
		require.NoError(t, err)
		_, err = c.SearchSimilarPage(ctx, vector(0), knowledge.SearchOptions{}, after)
		require.ErrorIs(t, err, knowledge.ErrTooManyCandidates, "behind a hit of %v", score)
	}
	hits, err := c.SearchSimilar(ctx, vector(0), knowledge.SearchOptions{Kinds: []string{"concept"}})
	require.NoError(t, err, "options that leave few make it possible")
	require.Equal(t, []string{"pool", "drain"}, found(hits))
}

// elsewhere moves the extension, by the name of its schema, since a database's owner
// owns the schema public and not the extension.
var elsewhere = testkit.Migrations("elsewhere", fstest.MapFS{"00001_elsewhere.sql": {Data: []byte(`-- +goose Up
alter schema public rename to "our ""Vectors";
create schema public;
`)}})

func TestTheExtensionMayBeInAnySchema(t *testing.T) {
	t.Parallel()
	c, db := newClientOn(t, vectors, elsewhere)
	require.NoError(t, c.CheckSchema(t.Context()))
	ctx := as(t, "acme")
	shelf(t, ctx, c)
	got, err := c.GetEntry(ctx, "wiki", "drain")
	require.NoError(t, err)
	require.Equal(t, vector(0.2), got.Embedding)
	hits, err := c.HybridSearch(ctx, "pool", vector(0), knowledge.SearchOptions{K: 2})
	require.NoError(t, err)
	require.Equal(t, []string{"pool", "drain"}, found(hits))

	_, err = testkit.OwnerPool(t, db).Exec(t.Context(), `revoke usage on schema "our ""Vectors" from public`)
	require.NoError(t, err)
	err = c.CheckSchema(t.Context())
	require.ErrorIs(t, err, modules.ErrSchema)
	require.ErrorContains(t, err, `our ""Vectors`)
}
