package webnavigator_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/webnavigator"
)

func TestContentComesBackWhole(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	at := time.Now().Add(-time.Hour).Truncate(time.Microsecond).UTC()
	full := webnavigator.Content{
		URL: page, Title: "A page", Text: "ünder the hood", HTML: ptr("<p>ünder the hood"),
		Links:  []webnavigator.Link{{URL: "https://example.org/2", Text: "two", Type: webnavigator.Internal, Relevance: 0.5}, {URL: "https://else.where", Type: webnavigator.External}},
		Images: []webnavigator.Image{{URL: "https://example.org/i.png", Alt: "an image", Width: 40, Height: 30}},
		Metadata: webnavigator.PageMeta{
			Description: "d", StatusCode: 200, ContentType: "text/html", ContentLength: 12, LastModified: &at, CacheControl: "no-store",
			MetaTags: map[string]string{"a": "b"}, OpenGraph: map[string]string{"og:title": "t"}, Language: "en", Author: "ada", PublishedAt: &at, Domain: "example.org", IsSecure: true,
		},
		Quality: webnavigator.QualityHigh, QualityDetail: webnavigator.QualityDetail{"score": 0.9, "reasons": []any{"long"}},
		ContentHash: strings.Repeat("AB", 32), ExtractedAt: at, ExtractionType: webnavigator.FullPage, ExtractionTime: 250 * time.Millisecond, TTL: time.Hour,
	}
	id, inserted, err := c.StoreContent(ctx, full)
	require.NoError(t, err)
	require.True(t, inserted)
	require.NoError(t, c.CachePut(ctx, page, id, time.Hour))
	got, found, err := c.GetByURL(ctx, page)
	require.NoError(t, err)
	require.True(t, found)
	want := full
	want.ID, want.ContentHash = id, strings.ToLower(full.ContentHash)
	require.Empty(t, cmp.Diff(want, got, cmpopts.IgnoreFields(webnavigator.Content{}, "TTL"), cmpopts.EquateApproxTime(0)))
	require.InDelta(t, time.Hour, got.TTL, float64(time.Minute))
	var size int
	scan(t, ctx, db, "select content_size_bytes from web.contents", &size)
	require.Equal(t, len(full.Text), size)

	// And with nothing but what is needed.
	id = storeContent(t, ctx, c, page+"/bare", "bare")
	require.NoError(t, c.CachePut(ctx, page+"/bare", id, 0))
	got, _, err = c.GetByURL(ctx, page+"/bare")
	require.NoError(t, err)
	require.Equal(t, []any{webnavigator.QualityUnknown, webnavigator.MainContent}, []any{got.Quality, got.ExtractionType})
	require.Nil(t, got.QualityDetail)
	require.Nil(t, got.HTML)
	require.Equal(t, []webnavigator.Link{}, got.Links)
	require.Equal(t, []webnavigator.Image{}, got.Images)
	require.Len(t, got.ContentHash, 64)
	require.WithinDuration(t, time.Now(), got.ExtractedAt, time.Minute)
	require.InDelta(t, webnavigator.DefaultTTL, got.TTL, float64(time.Minute))
}

func TestStoreContentKeepsEachPageOnce(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	first := storeContent(t, ctx, c, page, "text")
	exec(t, ctx, db, "update web.contents set extracted_at = now() - interval '1 day', cached_until = now()")
	again, inserted, err := c.StoreContent(ctx, content(page, "text", func(c *webnavigator.Content) {
		c.Title, c.Links, c.Metadata.Author = "new", []webnavigator.Link{{URL: "x", Type: webnavigator.External}}, "ada"
		c.Images = []webnavigator.Image{{URL: "i"}}
	}))
	require.NoError(t, err)
	require.False(t, inserted)
	require.Equal(t, first, again)
	var title, author string
	var links, images int
	var fresh bool
	scan(t, ctx, db, `select title, metadata->>'author', jsonb_array_length(links), jsonb_array_length(images),
		extracted_at > now() - interval '1 minute' and cached_until > now() + interval '23 hours' from web.contents`, &title, &author, &links, &images, &fresh)
	require.Equal(t, []any{"new", "ada", 1, 1, true}, []any{title, author, links, images, fresh})

	for who, id := range map[string]string{
		"another text":   storeContent(t, ctx, c, page, "other"),
		"another url":    storeContent(t, ctx, c, page+"2", "text"),
		"another tenant": storeContent(t, as(t, "globex"), c, page, "text"),
	} {
		require.NotEqual(t, first, id, who)
	}
	ids := make(chan string, 20)
	together(t, 20, func(int) error {
		id, _, err := c.StoreContent(ctx, content(page, "at once"))
		ids <- id
		return err
	})
	for one := <-ids; len(ids) > 0; {
		require.Equal(t, one, <-ids)
	}
}

// However long a text is, it is stored.
func TestStoreContentTakesLongTexts(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	var long strings.Builder
	for i := range 400_000 {
		fmt.Fprintf(&long, "w%d ", i)
	}
	id := storeContent(t, as(t, "acme"), c, "https://example.org/"+strings.Repeat("x", 2028), long.String())
	require.Len(t, id, 36)
}

func TestStoreContentNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	for must, change := range map[string]func(*webnavigator.Content){
		"url must not be blank":                 func(c *webnavigator.Content) { c.URL = "" },
		"url must be at most 2048 bytes":        func(c *webnavigator.Content) { c.URL = strings.Repeat("x", 2049) },
		"title must be text":                    func(c *webnavigator.Content) { c.Title = "\x00" },
		"text must be text":                     func(c *webnavigator.Content) { c.Text = "\xff" },
		"html must be text":                     func(c *webnavigator.Content) { c.HTML = ptr("\x00") },
		"quality must be one of":                func(c *webnavigator.Content) { c.Quality = "best" },
		"extraction_type must be one of":        func(c *webnavigator.Content) { c.ExtractionType = "x" },
		"extraction_time must not be negative":  func(c *webnavigator.Content) { c.ExtractionTime = -1 },
		"ttl must not be negative":              func(c *webnavigator.Content) { c.TTL = -1 },
		"content_hash must be a SHA-256 in hex": func(c *webnavigator.Content) { c.ContentHash = "x" },
		"links[0].type must be one of":          func(c *webnavigator.Content) { c.Links = []webnavigator.Link{{}} },
		"links[0].relevance must be from 0 to 1": func(c *webnavigator.Content) {
			c.Links = []webnavigator.Link{{Type: webnavigator.Internal, Relevance: math.NaN()}}
		},
		"images[0].width must be from 0":         func(c *webnavigator.Content) { c.Images = []webnavigator.Image{{Width: -1}} },
		"images[0].height must be from 0":        func(c *webnavigator.Content) { c.Images = []webnavigator.Image{{Height: 1 << 40}} },
		"metadata.status_code must be from 0":    func(c *webnavigator.Content) { c.Metadata.StatusCode = -1 },
		"metadata.content_length must be from 0": func(c *webnavigator.Content) { c.Metadata.ContentLength = math.MaxInt64 },
		"images must not hold the NUL character": func(c *webnavigator.Content) { c.Images = []webnavigator.Image{{Alt: "\\\x00"}} },
		"metadata must not hold the NUL":         func(c *webnavigator.Content) { c.Metadata.Author = "\x00" },
		"detail must not hold the NUL":           func(c *webnavigator.Content) { c.QualityDetail = webnavigator.QualityDetail{"\x00": 1} },
	} {
		_, _, err := c.StoreContent(ctx, content(page, "text", change))
		require.ErrorIs(t, err, modules.ErrInvalid, must)
		require.ErrorContains(t, err, must)
	}
	_, _, err := c.GetByURL(ctx, " ")
	require.ErrorIs(t, err, modules.ErrInvalid)

	require.NoError(t, c.CachePut(ctx, page, storeContent(t, ctx, c, page, "text"), 0))
	exec(t, ctx, db, `update web.contents set links = '{"a": 1}'`)
	_, found, err := c.GetByURL(ctx, page)
	require.False(t, found)
	require.ErrorContains(t, err, "links of another shape")
}

func TestStoreMetrics(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	id := storeContent(t, ctx, c, page, "text")
	require.NoError(t, c.StoreMetrics(ctx, id, webnavigator.ExtractionMetrics{
		Total: 4 * time.Millisecond, Fetch: 3 * time.Millisecond, Parse: 2 * time.Millisecond, Sanitize: time.Millisecond, StatusCode: 200,
		ContentType: ptr("text/html"), ContentLength: ptr(int64(1 << 40)), RedirectCount: 2, SSLVerified: true, MaliciousDetected: true, SanitizationApplied: true,
	}))
	var all string
	scan(t, ctx, db, `select concat_ws(' ', total_time_ms, fetch_time_ms, parse_time_ms, sanitize_time_ms, status_code, content_type, content_length,
		redirect_count, ssl_verified and malicious_detected and sanitization_applied) from web.extraction_metrics`, &all)
	require.Equal(t, "4 3 2 1 200 text/html 1099511627776 2 t", all)

	require.ErrorIs(t, c.StoreMetrics(ctx, nowhere, webnavigator.ExtractionMetrics{}), modules.ErrReference)
	require.ErrorIs(t, c.StoreMetrics(as(t, "globex"), id, webnavigator.ExtractionMetrics{}), modules.ErrReference)
	require.ErrorIs(t, c.StoreMetrics(ctx, "x", webnavigator.ExtractionMetrics{}), modules.ErrInvalid)
	for must, m := range map[string]webnavigator.ExtractionMetrics{
		"total": {Total: -1}, "fetch": {Fetch: -1}, "parse": {Parse: -1}, "sanitize": {Sanitize: -1}, "status_code": {StatusCode: -1},
		"redirect_count": {RedirectCount: -1}, "content_type": {ContentType: ptr(strings.Repeat("x", 101))}, "content_length": {ContentLength: ptr(int64(-1))},
	} {
		err := c.StoreMetrics(ctx, id, m)
		require.ErrorIs(t, err, modules.ErrInvalid, must)
		require.ErrorContains(t, err, must)
	}
}
