package knowledge_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/knowledge"
)

func TestStoreQueryKeepsAllOfIt(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	at := time.Now().Add(-time.Hour).Truncate(time.Microsecond)
	id, err := c.StoreQuery(ctx, query("test-query-1", func(q *knowledge.Query) {
		q.PreferredSources = []knowledge.SourceType{knowledge.SourceNews, knowledge.SourceWeb}
		q.Context = map[string]any{"a": []any{1.5, "\\u0000 as text"}}
		q.Tags, q.CreatedAt = []string{"x", "y"}, at
	}))
	require.NoError(t, err)
	require.Equal(t, "test-query-1", id)
	var text, kind, requester, status string
	var sources, tags []string
	var priority, results, retries int
	var threshold float64
	var timeout int64
	var background map[string]any
	var created time.Time
	var processed *time.Time
	scan(t, ctx, db, `select query_text, query_type, requester_id, status, preferred_sources, tags, priority, max_results, retry_count,
		relevance_threshold, timeout_ms, context, created_at, processed_at from knowledge.queries`,
		&text, &kind, &requester, &status, &sources, &tags, &priority, &results, &retries, &threshold, &timeout, &background, &created, &processed)
	require.Equal(t, []any{"what is a pool?", "factual", "ada", "processing"}, []any{text, kind, requester, status})
	require.Equal(t, []string{"news", "web"}, sources)
	require.Equal(t, []string{"x", "y"}, tags)
	require.Equal(t, []int{3, 5, 0}, []int{priority, results, retries})
	require.InDelta(t, 0.5, threshold, 0)
	require.EqualValues(t, 30000, timeout)
	require.Equal(t, map[string]any{"a": []any{1.5, "\\u0000 as text"}}, background)
	require.True(t, at.Equal(created))
	require.Nil(t, processed)

	made, err := c.StoreQuery(ctx, query(""), knowledge.AsPending())
	require.NoError(t, err)
	require.Len(t, made, 36)
	scan(t, ctx, db, "select status, context, created_at from knowledge.queries where id = '"+made+"'", &status, &background, &created)
	require.Equal(t, "pending", status)
	require.WithinDuration(t, time.Now(), created, time.Minute)

	_, err = c.StoreQuery(ctx, query("test-query-1"))
	require.ErrorIs(t, err, modules.ErrConflict)
	_, err = c.StoreQuery(as(t, "globex"), query("test-query-1"))
	require.NoError(t, err, "an id is the tenant's own")
}

func TestStoreQueryNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	for must, change := range map[string]func(*knowledge.Query){
		"id must be at most 255 bytes":            func(q *knowledge.Query) { q.ID = strings.Repeat("x", 256) },
		"id must not be blank":                    func(q *knowledge.Query) { q.ID = " " },
		"text must not be blank":                  func(q *knowledge.Query) { q.Text = " " },
		"text must be text":                       func(q *knowledge.Query) { q.Text = "a\x00" },
		"type must be one of [factual":            func(q *knowledge.Query) { q.Type = "secret" },
		"max_results must be from 1":              func(q *knowledge.Query) { q.MaxResults = 0 },
		"relevance_threshold must be from 0 to 1": func(q *knowledge.Query) { q.RelevanceThreshold = math.NaN() },
		"timeout must be at least 1ms":            func(q *knowledge.Query) { q.Timeout = time.Microsecond },
		"requester_id must not be blank":          func(q *knowledge.Query) { q.RequesterID = "" },
		"priority must be from 1 to 10":           func(q *knowledge.Query) { q.Priority = 11 },
		"tags must be at most 255 bytes each":     func(q *knowledge.Query) { q.Tags = []string{"x", strings.Repeat("x", 256)} },
		"tags must be text":                       func(q *knowledge.Query) { q.Tags = []string{"\xff"} },
		"preferred_sources must be one of":        func(q *knowledge.Query) { q.PreferredSources = []knowledge.SourceType{"x"} },
		"context must be what JSON can hold":      func(q *knowledge.Query) { q.Context = map[string]any{"f": func() {}} },
		"context must not hold the NUL character": func(q *knowledge.Query) { q.Context = map[string]any{"\\": "\x00"} },
	} {
		_, err := c.StoreQuery(ctx, query("q", change))
		require.ErrorIs(t, err, modules.ErrInvalid, must)
		require.ErrorContains(t, err, must)
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestSetQueryStatusChangesOnlyWhatTheStatusSpeaksOf(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	storeQuery(t, ctx, c, "q", "other")
	state := func() (status, why string, processed bool, retries int) {
		scan(t, ctx, db, "select status, coalesce(error_message, ''), processed_at is not null, retry_count from knowledge.queries where id = 'q'",
			&status, &why, &processed, &retries)
		return status, why, processed, retries
	}
	for _, step := range []struct {
		status    knowledge.Status
		why       string
		kept      string
		processed bool
		retries   int
	}{
		{knowledge.Pending, "", "", false, 0},
		{knowledge.Processing, "", "", false, 0},
		{knowledge.Failed, "no network", "no network", true, 0},
		{knowledge.Processing, "", "", false, 1},
		{knowledge.Failed, "", "", true, 1},
		{knowledge.Pending, "", "", false, 1},
		{knowledge.Processing, "", "", false, 1},
		{knowledge.Failed, "again", "again", true, 1},
		{knowledge.Failed, "", "again", true, 1},
		{knowledge.Processing, "", "", false, 2},
		{knowledge.Completed, "", "", true, 2},
		{knowledge.Completed, "", "", true, 2},
	} {
		require.NoError(t, c.SetQueryStatus(ctx, "q", step.status, step.why))
		status, why, processed, retries := state()
		require.Equal(t, []any{string(step.status), step.kept, step.processed, step.retries}, []any{status, why, processed, retries})
	}
	var untouched string
	scan(t, ctx, db, "select status from knowledge.queries where id = 'other'", &untouched)
	require.Equal(t, "processing", untouched)

	require.ErrorIs(t, c.SetQueryStatus(ctx, "x", knowledge.Completed, ""), knowledge.ErrQueryNotFound)
	require.ErrorIs(t, c.SetQueryStatus(as(t, "globex"), "q", knowledge.Completed, ""), modules.ErrNotFound)
	require.ErrorIs(t, c.SetQueryStatus(ctx, "q", "done", ""), modules.ErrInvalid)
	require.ErrorIs(t, c.SetQueryStatus(ctx, "", knowledge.Completed, ""), modules.ErrInvalid)
	require.ErrorIs(t, c.SetQueryStatus(ctx, "q", knowledge.Completed, "why"), modules.ErrInvalid)
	require.ErrorIs(t, c.SetQueryStatus(ctx, "q", knowledge.Failed, "\x00"), modules.ErrInvalid)
}

func TestRetriesAreCountedOnceEach(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	storeQuery(t, ctx, c, "q")
	require.NoError(t, c.SetQueryStatus(ctx, "q", knowledge.Failed, "why"))
	together(t, 20, func(int) error { return c.SetQueryStatus(ctx, "q", knowledge.Processing, "") })
	var retries int
	scan(t, ctx, db, "select retry_count from knowledge.queries", &retries)
	require.Equal(t, 1, retries)
}
