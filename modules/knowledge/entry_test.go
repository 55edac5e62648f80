package knowledge_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/knowledge"
)

func TestPutEntryReplacesTheActiveOne(t *testing.T) {
	t.Parallel()
	onEachStorage(t, func(t *testing.T, c *knowledge.Client, db *fxdb.DB) {
		ctx := as(t, "acme")
		e := entry("go", func(e *knowledge.Entry) {
			e.Name, e.Embedding, e.EmbeddingModel = "  The   Go\tLanguage ", vector(0.25), "model-1"
			e.Metadata = map[string]any{"a": 1.0}
		})
		first, err := c.PutEntry(ctx, e)
		require.NoError(t, err)
		got, err := c.GetEntry(ctx, "wiki", "go")
		require.NoError(t, err)
		want := e
		want.ID, want.CanonicalName, want.Status = first, "the go language", knowledge.EntryActive
		require.Empty(t, cmp.Diff(want, got, cmpopts.IgnoreFields(knowledge.Entry{}, "CreatedAt", "UpdatedAt")))
		require.WithinDuration(t, time.Now(), got.CreatedAt, time.Minute)

		// The same again is only touched.
		exec(t, ctx, db, "update knowledge.entries set confidence = 0.5")
		again, err := c.PutEntry(ctx, e)
		require.NoError(t, err)
		require.Equal(t, first, again)
		touched, err := c.GetEntry(ctx, "wiki", "go")
		require.NoError(t, err)
		require.True(t, touched.UpdatedAt.After(got.UpdatedAt))
		require.InDelta(t, 0.5, touched.Confidence, 0)

		// It takes what is no part of what it says, and the confidence if that is wanted.
		e.Metadata, e.Confidence = map[string]any{"a": 2.0}, 0.25
		again, err = c.PutEntry(ctx, e, knowledge.ResetConfidence())
		require.NoError(t, err)
		require.Equal(t, first, again)
		touched, err = c.GetEntry(ctx, "wiki", "go")
		require.NoError(t, err)
		require.InDelta(t, 0.25, touched.Confidence, 0)
		require.Equal(t, e.Metadata, touched.Metadata)

		e.Body = "something new"
		second, err := c.PutEntry(ctx, e)
		require.NoError(t, err)
		require.NotEqual(t, first, second)
		var status, by string
		var rate float64
		var at time.Time
		scan(t, ctx, db, "select status, replaced_by::text, decay_rate, replaced_at from knowledge.entries where id = '"+first+"'", &status, &by, &rate, &at)
		require.Equal(t, []string{"replaced", second}, []string{status, by})
		require.InDelta(t, 0.95, rate, 0)
		require.WithinDuration(t, time.Now(), at, time.Minute)

		// An embedding of another model, or none any more, is something new too.
		e.EmbeddingModel = "model-2"
		third, err := c.PutEntry(ctx, e)
		require.NoError(t, err)
		require.NotEqual(t, second, third)
		e.Embedding = nil
		fourth, err := c.PutEntry(ctx, e)
		require.NoError(t, err)
		require.NotEqual(t, third, fourth)
		got, err = c.GetEntry(ctx, "wiki", "go")
		require.NoError(t, err)
		require.Equal(t, fourth, got.ID)
		require.Empty(t, got.Embedding)

		_, err = c.GetEntry(ctx, "wiki", "x")
		require.ErrorIs(t, err, knowledge.ErrEntryNotFound)
		_, err = c.GetEntry(as(t, "globex"), "wiki", "go")
		require.ErrorIs(t, err, modules.ErrNotFound)
		theirs, err := c.PutEntry(as(t, "globex"), entry("go"))
		require.NoError(t, err)
		require.NotEqual(t, fourth, theirs)
	})
}

func TestPutEntryNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	for must, change := range map[string]func(*knowledge.Entry){
		"source must not be blank":                 func(e *knowledge.Entry) { e.Source = "" },
		"entity_id must be at most 255":            func(e *knowledge.Entry) { e.EntityID = strings.Repeat("x", 256) },
		"kind must be at most 100":                 func(e *knowledge.Entry) { e.Kind = strings.Repeat("x", 101) },
		"name must be text":                        func(e *knowledge.Entry) { e.Name = "\x00" },
		"body must be text":                        func(e *knowledge.Entry) { e.Body = "\xff" },
		"confidence must be from 0 to 1":           func(e *knowledge.Entry) { e.Confidence = 2 },
		"embedding must have 768 dimensions":       func(e *knowledge.Entry) { e.Embedding = []float32{1} },
		"embedding must be finite numbers":         func(e *knowledge.Entry) { e.Embedding = make([]float32, knowledge.Dimensions) },
		"embedding must be finite numbers, not":    func(e *knowledge.Entry) { e.Embedding = vector(float32(math.NaN())) },
		"embedding must be finite numbers, not a":  func(e *knowledge.Entry) { e.Embedding = vector(float32(math.Inf(1))) },
		"embedding_model must be at most":          func(e *knowledge.Entry) { e.EmbeddingModel = strings.Repeat("m", 256) },
		"metadata must not hold the NUL character": func(e *knowledge.Entry) { e.Metadata = map[string]any{"\x00": 1} },
	} {
		_, err := c.PutEntry(ctx, entry("x", change))
		require.ErrorIs(t, err, modules.ErrInvalid, must)
		require.ErrorContains(t, err, must)
	}
	_, err := c.GetEntry(ctx, "", "x")
	require.ErrorIs(t, err, modules.ErrInvalid)
	_, err = c.ReinforceEntry(ctx, "no uuid", true, nil)
	require.ErrorContains(t, err, "id must be a UUID")
	_, err = c.DeleteEntries(ctx, "")
	require.ErrorIs(t, err, modules.ErrInvalid)
	_, err = c.EntryStats(ctx, "\x00", "")
	require.ErrorIs(t, err, modules.ErrInvalid)

	_, err = c.PutEntry(ctx, entry("x"))
	require.NoError(t, err)
	exec(t, ctx, db, "update knowledge.entries set metadata = '[1]'")
	_, err = c.GetEntry(ctx, "wiki", "x")
	require.ErrorContains(t, err, "metadata that is no object")
	_, err = c.SearchText(ctx, "body", knowledge.SearchOptions{})
	require.ErrorContains(t, err, "metadata that is no object")
}

func TestConcurrentPutsLeaveOneActiveEntry(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	const n = 24
	together(t, n, func(i int) error {
		_, err := c.PutEntry(ctx, entry("go", func(e *knowledge.Entry) { e.Body = fmt.Sprint("version ", i) }))
		return err
	})
	var active, replaced, chained int
	scan(t, ctx, db, `select count(*) filter (where status = 'active'), count(*) filter (where status = 'replaced'),
		count(distinct replaced_by) from knowledge.entries`, &active, &replaced, &chained)
	require.Equal(t, []int{1, n - 1, n - 1}, []int{active, replaced, chained}, "each replaced the one before it")
}

func TestReinforceEntryStaysWithinBounds(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	id, err := c.PutEntry(ctx, entry("go", func(e *knowledge.Entry) { e.Confidence = 0.98 }))
	require.NoError(t, err)
	reinforce := func(success bool, want float64, review bool) {
		t.Helper()
		got, err := c.ReinforceEntry(ctx, id, success, map[string]any{"task": "t"})
		require.NoError(t, err)
		require.InDelta(t, want, got, 1e-9)
		e, err := c.GetEntry(ctx, "wiki", "go")
		require.NoError(t, err)
		require.InDelta(t, want, e.Confidence, 1e-9)
		require.Equal(t, review, e.NeedsReview)
	}
	reinforce(true, 1, false)
	reinforce(false, 0.9, false)
	exec(t, ctx, db, "update knowledge.entries set confidence = 0.55")
	reinforce(false, 0.45, true)
	exec(t, ctx, db, "update knowledge.entries set confidence = 0.05")
	reinforce(false, 0, true)
	reinforce(true, 0.05, true)
	var notes int
	var was, is float64
	var success bool
	var about map[string]any
	scan(t, ctx, db, "select count(*) over (), old, new, success, context from knowledge.entry_feedback order by id desc limit 1", &notes, &was, &is, &success, &about)
	require.Equal(t, 5, notes)
	require.InDelta(t, 0, was, 0)
	require.InDelta(t, 0.05, is, 1e-9)
	require.True(t, success)
	require.Equal(t, map[string]any{"task": "t"}, about)

	_, err = c.ReinforceEntry(as(t, "globex"), id, true, nil)
	require.ErrorIs(t, err, knowledge.ErrEntryNotFound)
	_, err = c.ReinforceEntry(ctx, id, true, map[string]any{"f": func() {}})
	require.ErrorIs(t, err, modules.ErrInvalid)
}

func TestConcurrentReinforcementLosesNothing(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	id, err := c.PutEntry(ctx, entry("go", func(e *knowledge.Entry) { e.Confidence = 0.1 }))
	require.NoError(t, err)
	together(t, 16, func(int) error { _, err := c.ReinforceEntry(ctx, id, true, nil); return err })
	e, err := c.GetEntry(ctx, "wiki", "go")
	require.NoError(t, err)
	require.InDelta(t, 0.9, e.Confidence, 1e-9)
	var steps int
	scan(t, ctx, db, "select count(distinct round(old::numeric, 4)) from knowledge.entry_feedback where new > old", &steps)
	require.Equal(t, 16, steps, "each found what the one before left")
}

func TestDecayIsTheSameHoweverOftenItRuns(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	replaced := func(id string, confidence float64, days int) {
		for _, body := range []string{"old", "new"} {
			_, err := c.PutEntry(ctx, entry(id, func(e *knowledge.Entry) { e.Body, e.Confidence = body, confidence }))
			require.NoError(t, err)
		}
		exec(t, ctx, db, fmt.Sprintf("update knowledge.entries set replaced_at = now() - interval '%d days' where entity_id = '%s' and status = 'replaced'", days, id))
	}
	replaced("a", 0.8, 10)
	replaced("ancient", 0.8, 1_000_000)
	replaced("tiny", 1e-300, 10)
	confidence := func(id string) (confidence float64, status string) {
		scan(t, ctx, db, "select confidence, status from knowledge.entries where status <> 'active' and entity_id = '"+id+"'", &confidence, &status)
		return confidence, status
	}
	n, err := c.DecayEntries(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 3, n)
	want := 0.8 * math.Pow(0.95, 10)
	got, status := confidence("a")
	require.InDelta(t, want, got, 1e-4)
	require.Equal(t, "replaced", status)
	for _, id := range []string{"ancient", "tiny"} {
		_, status = confidence(id)
		require.Equal(t, "archived", status)
	}
	together(t, 8, func(int) error { _, err := c.DecayEntries(ctx); return err })
	got, _ = confidence("a")
	require.InDelta(t, want, got, 1e-4)

	exec(t, ctx, db, "update knowledge.entries set decayed_at = now() - interval '5 days' where status = 'replaced'")
	n, err = c.DecayEntries(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 1, n, "what is archived stays as it is")
	got, _ = confidence("a")
	require.InDelta(t, want*math.Pow(0.95, 5), got, 1e-4)
	active, err := c.GetEntry(ctx, "wiki", "a")
	require.NoError(t, err)
	require.InDelta(t, 0.8, active.Confidence, 0)
	n, err = c.DecayEntries(as(t, "globex"))
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestEntryStatsAndDeleteEntries(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	s, err := c.EntryStats(ctx, "", "")
	require.NoError(t, err)
	require.Equal(t, knowledge.EntryStats{}, s)
	put := func(source, kind, id, body string, confidence float64) string {
		id, err := c.PutEntry(ctx, knowledge.Entry{Source: source, EntityID: id, Kind: kind, Body: body, Confidence: confidence})
		require.NoError(t, err)
		return id
	}
	put("wiki", "concept", "a", "1", 0.2)
	put("wiki", "concept", "a", "2", 0.6)
	put("wiki", "tool", "b", "1", 1)
	bad := put("docs", "tool", "b", "1", 0.5)
	_, err = c.ReinforceEntry(ctx, bad, false, nil)
	require.NoError(t, err)
	for _, of := range []struct {
		source, kind                    string
		active, replaced, needingReview int64
		mean                            float64
	}{
		{"", "", 3, 1, 1, 2.0 / 3}, {"wiki", "", 2, 1, 0, 0.8}, {"", "tool", 2, 0, 1, 0.7}, {"docs", "tool", 1, 0, 1, 0.4}, {"docs", "concept", 0, 0, 0, 0},
	} {
		s, err := c.EntryStats(ctx, of.source, of.kind)
		require.NoError(t, err)
		require.Equal(t, []int64{of.active, of.replaced, 0, of.needingReview}, []int64{s.Active, s.Replaced, s.Archived, s.NeedsReview})
		require.InDelta(t, of.mean, s.MeanConfidence, 1e-9)
		require.Equal(t, of.active == 0, s.UpdatedAt.IsZero())
	}
	n, err := c.DeleteEntries(as(t, "globex"), "wiki")
	require.NoError(t, err)
	require.Zero(t, n)
	n, err = c.DeleteEntries(ctx, "wiki")
	require.NoError(t, err)
	require.EqualValues(t, 3, n)
	n, err = c.DeleteEntries(ctx, "docs")
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
}

// A model may give another embedding of the same text: the newest is kept, and the
// entry stays the same.
func TestPutEntryKeepsTheNewestEmbedding(t *testing.T) {
	t.Parallel()
	onEachStorage(t, func(t *testing.T, c *knowledge.Client, db *fxdb.DB) {
		ctx := as(t, "acme")
		var ids []string
		for _, part := range []float32{0, 0.5} {
			id, err := c.PutEntry(ctx, entry("e", func(e *knowledge.Entry) { e.Embedding, e.EmbeddingModel = vector(part), "m" }))
			require.NoError(t, err)
			ids = append(ids, id)
		}
		require.Equal(t, ids[0], ids[1])
		got, err := c.GetEntry(ctx, "wiki", "e")
		require.NoError(t, err)
		require.Equal(t, vector(0.5), got.Embedding)
		hits, err := c.SearchSimilar(ctx, vector(0.5), knowledge.SearchOptions{})
		require.NoError(t, err)
		require.Len(t, hits, 1)
		require.InDelta(t, 1, hits[0].Score, 1e-6)
	})
}

// pgvector adds up squares in 32 bits: what is too long or too short there has no
// angle to anything.
func TestEmbeddingsHaveALengthThatCanBeCompared(t *testing.T) {
	t.Parallel()
	onEachStorage(t, func(t *testing.T, c *knowledge.Client, db *fxdb.DB) {
		ctx := as(t, "acme")
		scaled := func(by float32) []float32 {
			v := vector(0.5)
			for i := range v {
				v[i] *= by
			}
			return v
		}
		for _, by := range []float32{1e20, 1e-25, 1e16, 1e-16} {
			_, err := c.PutEntry(ctx, entry("bad", func(e *knowledge.Entry) { e.Embedding = scaled(by) }))
			require.ErrorIs(t, err, modules.ErrInvalid, "%g", by)
			_, err = c.SearchSimilar(ctx, scaled(by), knowledge.SearchOptions{})
			require.ErrorIs(t, err, modules.ErrInvalid, "%g", by)
		}
		for _, by := range []float32{1e14, 1e-14} {
			_, err := c.PutEntry(ctx, entry("e", func(e *knowledge.Entry) { e.Embedding = scaled(by) }))
			require.NoError(t, err)
			hits, err := c.SearchSimilar(ctx, vector(0.5), knowledge.SearchOptions{})
			require.NoError(t, err)
			require.Len(t, hits, 1)
			require.InDelta(t, 1, hits[0].Score, 1e-4, "%g", by)
		}
	})
}

func TestPutEntrySeesWhereItsTextsBegin(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	seen := map[string]bool{}
	for _, e := range [][2]string{{"ab", "c"}, {"a", "bc"}, {"a\x011", "bc"}, {"abc", ""}} {
		id, err := c.PutEntry(ctx, entry("e", func(to *knowledge.Entry) { to.Name, to.Body = e[0], e[1] }))
		require.NoError(t, err)
		require.False(t, seen[id], "%q was taken for the one before", e)
		seen[id] = true
	}
}
