package verification_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/clienttest"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/verification"
)

func TestARequestIsReadAsStored(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	want := request("r", func(r *verification.Request) {
		r.Source, r.Context, r.Priority, r.Timeout, r.Metadata = ptr("s"), ptr("c"), verification.High, time.Second, map[string]any{"n": 1.5}
	})
	require.NoError(t, c.SaveRequest(ctx, want))
	got, err := c.Request(ctx, "r")
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), got.CreatedAt, time.Hour)
	require.Equal(t, verification.StoredRequest{Request: want, Status: verification.Pending, CreatedAt: got.CreatedAt}, got)

	require.NoError(t, c.SetRequestStatus(ctx, "r", verification.Processing, verification.StatusDetails{}))
	require.NoError(t, c.SetRequestStatus(ctx, "r", verification.Failed, verification.StatusDetails{ProcessingTime: ptr(time.Second), Error: ptr("e"), ErrorCode: ptr("E1")}))
	got, err = c.Request(ctx, "r")
	require.NoError(t, err)
	require.NotNil(t, got.StartedAt)
	require.NotNil(t, got.CompletedAt)
	require.Equal(t, []any{verification.Failed, time.Second, "e", "E1"}, []any{got.Status, *got.ProcessingTime, *got.Error, *got.ErrorCode})

	_, err = c.Request(as(t, "globex"), "r")
	require.ErrorIs(t, err, verification.ErrRequestNotFound)
	_, err = c.Request(ctx, "")
	require.ErrorIs(t, err, modules.ErrInvalid)
}

func TestRequestsOfAStatusArePagedTheNewestFirst(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	save(t, ctx, c, "r0", "r1", "r2", "r3")
	save(t, as(t, "globex"), c, "of globex")
	for _, id := range []string{"r0", "r2", "r3"} {
		require.NoError(t, c.SetRequestStatus(ctx, id, verification.Processing, verification.StatusDetails{}))
	}
	for status, want := range map[verification.Status][]string{
		verification.Processing: {"r3", "r2", "r0"}, verification.Pending: {"r1"}, verification.Completed: nil,
	} {
		var got []string
		for _, r := range clienttest.Pages(t, len(want), func(limit int, after string) (modules.Page[verification.StoredRequest], error) {
			return c.RequestsPage(ctx, status, limit, after)
		}) {
			got = append(got, r.ID)
		}
		require.Equal(t, want, got, status)
	}
	require.NoError(t, c.SaveRequest(ctx, request("urgent", func(r *verification.Request) { r.Priority = verification.Critical })))
	save(t, ctx, c, "r4")
	want, err := c.PendingPage(ctx, 10, "")
	require.NoError(t, err)
	var pending []verification.Request
	for _, r := range clienttest.Pages(t, 3, func(limit int, after string) (modules.Page[verification.StoredRequest], error) {
		return c.RequestsPage(ctx, verification.Pending, limit, after)
	}) {
		pending = append(pending, r.Request)
	}
	require.Equal(t, want.Items, pending)
	require.Equal(t, "urgent", pending[0].ID)
	_, err = c.RequestsPage(ctx, "odd", 0, "")
	require.ErrorContains(t, err, "status must be one of")
}

func TestAllResultsOfARequestAreReadTheNewestFirst(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	save(t, ctx, c, "r", "without")
	var newest string
	for i := range 3 {
		newest = saveResult(t, ctx, c, result("r", func(r *verification.Result) {
			r.Reasoning = []string{fmt.Sprint(i)}
			r.Supporting = []verification.Evidence{evidence(fmt.Sprint("for ", i))}
			r.Contradicting = []verification.Evidence{evidence(fmt.Sprint("against ", i))}
		}))
	}
	got := clienttest.Pages(t, 3, func(limit int, after string) (modules.Page[verification.Result], error) {
		return c.ResultsPage(ctx, "r", limit, after)
	})
	require.Equal(t, newest, got[0].ID)
	require.Equal(t, stored(t, ctx, c, "r"), got[0])
	for i, r := range got {
		require.Equal(t, []string{fmt.Sprint(2 - i)}, r.Reasoning)
		require.Equal(t, fmt.Sprint("for ", 2-i), r.Supporting[0].Content)
		require.Equal(t, fmt.Sprint("against ", 2-i), r.Contradicting[0].Content)
	}
	none, err := c.ResultsPage(ctx, "without", 0, "")
	require.NoError(t, err)
	require.Empty(t, none.Items)
	_, err = c.ResultsPage(ctx, "unknown", 0, "")
	require.ErrorIs(t, err, verification.ErrRequestNotFound)
	_, err = c.ResultsPage(as(t, "globex"), "r", 0, "")
	require.ErrorIs(t, err, verification.ErrRequestNotFound)
}
