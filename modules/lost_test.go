package modules_test

import (
	"context"
	"encoding/json"
	"io/fs"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/clienttest"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules/knowledge"
	"github.com/agentagency/onepool/modules/verification"
	"github.com/agentagency/onepool/modules/webnavigator"
)

// A hit that is counted twice does less harm than an answer that is not there.
func TestCachesAnswerAfterTheLossOfTheirConnection(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	const key = "https://example.org/the-key-on-the-wire"
	type get func(context.Context) (bool, error)
	for name, c := range map[string]struct {
		migrations fs.FS
		onWire     string
		fill       func(t *testing.T, ctx context.Context, db *fxdb.DB) get
	}{
		"knowledge": {knowledge.Migrations(), key, func(t *testing.T, ctx context.Context, db *fxdb.DB) get {
			c, err := knowledge.New(knowledge.Params{DB: db})
			require.NoError(t, err)
			require.NoError(t, c.CachePut(ctx, key, json.RawMessage(`1`), time.Hour, ""))
			return func(ctx context.Context) (bool, error) { _, found, err := c.CacheGet(ctx, key); return found, err }
		}},
		"verification": {verification.Migrations(), verification.Request{Content: key}.CacheKey(), func(t *testing.T, ctx context.Context, db *fxdb.DB) get {
			c, err := verification.New(verification.Params{DB: db})
			require.NoError(t, err)
			r := verification.Request{Content: key}
			require.NoError(t, c.CachePut(ctx, r, verification.Result{RequestID: "r", Verdict: verification.Mixed}, time.Hour))
			return func(ctx context.Context) (bool, error) { _, found, err := c.CacheGet(ctx, r); return found, err }
		}},
		"webnavigator": {webnavigator.Migrations(), key, func(t *testing.T, ctx context.Context, db *fxdb.DB) get {
			c, err := webnavigator.New(webnavigator.Params{DB: db})
			require.NoError(t, err)
			id, _, err := c.StoreContent(ctx, webnavigator.Content{URL: key, Title: "t", Text: "t"})
			require.NoError(t, err)
			require.NoError(t, c.CachePut(ctx, key, id, time.Hour))
			return func(ctx context.Context) (bool, error) { _, found, err := c.GetByURL(ctx, key); return found, err }
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, w := clienttest.Wired(t, name, c.migrations)
			ctx := clienttest.As(t, "acme")
			get := c.fill(t, ctx, db.Named(name, fxdb.RequireTenant()))
			for _, delivered := range []bool{false, true} {
				found, err := get(ctx) // prepares it
				require.NoError(t, err)
				require.True(t, found)
				w.CutAt(c.onWire, delivered)
				found, err = get(ctx)
				require.NoError(t, err, "the server had it: %v", delivered)
				require.True(t, found)
			}
		})
	}
}
