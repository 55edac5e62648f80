package verification_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/verification"
)

// requestRow is what the table has of a request's progress.
type requestRow struct {
	Status                 string
	StartedAt, CompletedAt *time.Time
	ProcessingMs           *int64
	Error, ErrorCode       *string
}

func progress(t testing.TB, db *fxdb.DB, id string) (r requestRow) {
	t.Helper()
	scan(t, as(t, "acme"), db, "select status, started_at, completed_at, processing_time_ms, error_message, error_code from verification.requests where id = '"+id+"'",
		&r.Status, &r.StartedAt, &r.CompletedAt, &r.ProcessingMs, &r.Error, &r.ErrorCode)
	return r
}

func TestSetRequestStatusStampsItsTimes(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	save(t, ctx, c, "r", "other")
	set := func(status verification.Status, d verification.StatusDetails) requestRow {
		t.Helper()
		require.NoError(t, c.SetRequestStatus(ctx, "r", status, d))
		return progress(t, db, "r")
	}
	got := set(verification.Processing, verification.StatusDetails{})
	require.WithinDuration(t, time.Now(), *got.StartedAt, time.Minute)
	want := requestRow{Status: "processing", StartedAt: got.StartedAt}
	require.Equal(t, want, got)

	want.ProcessingMs, want.Error, want.ErrorCode = ptr(int64(1500)), ptr("slow"), ptr(strings.Repeat("c", 50))
	exec(t, ctx, db, "update verification.requests set processing_time_ms = 1500, error_message = 'slow', error_code = repeat('c', 50) where id = 'r'")
	got = set(verification.Failed, verification.StatusDetails{})
	require.WithinDuration(t, time.Now(), *got.CompletedAt, time.Minute)
	want.Status, want.CompletedAt = "failed", got.CompletedAt
	require.Equal(t, want, got, "what is nil keeps what was there")

	save(t, ctx, c, "slow")
	require.NoError(t, c.SetRequestStatus(ctx, "slow", verification.Processing, verification.StatusDetails{
		ProcessingTime: ptr(1500 * time.Millisecond), Error: want.Error, ErrorCode: want.ErrorCode,
	}))
	got = progress(t, db, "slow")
	require.Equal(t, requestRow{Status: "processing", StartedAt: got.StartedAt, ProcessingMs: want.ProcessingMs, Error: want.Error, ErrorCode: want.ErrorCode}, got)
	require.Equal(t, requestRow{Status: "pending"}, progress(t, db, "other"))

	require.NoError(t, c.SetRequestStatus(ctx, "other", verification.Cancelled, verification.StatusDetails{ProcessingTime: ptr(time.Duration(0))}))
	got = progress(t, db, "other")
	require.Nil(t, got.StartedAt)
	require.NotNil(t, got.CompletedAt)
	require.Zero(t, *got.ProcessingMs)
}

func TestARequestMovesAsItMay(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	save(t, ctx, c, "r")
	all := []verification.Status{verification.Pending, verification.Processing, verification.Completed, verification.Failed, verification.Cancelled}
	legal := map[string]bool{
		"pending to processing": true, "pending to cancelled": true,
		"processing to completed": true, "processing to failed": true, "processing to cancelled": true,
	}
	for _, from := range all {
		for _, to := range all {
			move := string(from + " to " + to)
			exec(t, ctx, db, "update verification.requests set started_at = null, completed_at = null, status = '"+string(from)+"'")
			err := c.SetRequestStatus(ctx, "r", to, verification.StatusDetails{})
			got := progress(t, db, "r")
			if !legal[move] {
				require.ErrorIs(t, err, verification.ErrStatus, move)
				require.ErrorIs(t, err, modules.ErrConflict, move)
				require.ErrorContains(t, err, "request is "+string(from))
				require.Equal(t, requestRow{Status: string(from)}, got, move)
				continue
			}
			require.NoError(t, err, move)
			require.Equal(t, string(to), got.Status)
			require.Equal(t, to == verification.Processing, got.StartedAt != nil, move)
			require.Equal(t, to != verification.Processing, got.CompletedAt != nil, move)
		}
	}
	require.ErrorIs(t, c.SetRequestStatus(ctx, "missing", verification.Processing, verification.StatusDetails{}), verification.ErrRequestNotFound)
	require.ErrorIs(t, c.SetRequestStatus(ctx, "missing", verification.Processing, verification.StatusDetails{}), modules.ErrNotFound)
}

// Of many that end a request, one does.
func TestARequestEndsOnce(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	save(t, ctx, c, "r")
	require.NoError(t, c.SetRequestStatus(ctx, "r", verification.Processing, verification.StatusDetails{}))
	results := make(chan error, 12)
	together(t, 12, func(i int) error {
		end := []verification.Status{verification.Completed, verification.Failed, verification.Cancelled}[i%3]
		results <- c.SetRequestStatus(ctx, "r", end, verification.StatusDetails{})
		return nil
	})
	ended := 0
	for range 12 {
		if err := <-results; err == nil {
			ended++
		} else {
			require.ErrorIs(t, err, verification.ErrStatus)
		}
	}
	require.Equal(t, 1, ended)
}

func TestSetRequestStatusRefuses(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	save(t, ctx, c, "r")
	set := func(id string, status verification.Status, d verification.StatusDetails) error {
		return c.SetRequestStatus(ctx, id, status, d)
	}
	for must, err := range map[string]error{
		"id must not be blank":                 set("", verification.Processing, verification.StatusDetails{}),
		"status must be one of [pending p":     set("r", "done", verification.StatusDetails{}),
		"processing_time must not be negative": set("r", verification.Processing, verification.StatusDetails{ProcessingTime: ptr(time.Duration(-1))}),
		"error must be text":                   set("r", verification.Processing, verification.StatusDetails{Error: ptr("\x00")}),
		"error_code must be text":              set("r", verification.Processing, verification.StatusDetails{ErrorCode: ptr("\x00")}),
		"error_code must be at most 50 bytes":  set("r", verification.Processing, verification.StatusDetails{ErrorCode: ptr(strings.Repeat("c", 51))}),
	} {
		require.ErrorIs(t, err, modules.ErrInvalid, must)
		require.ErrorContains(t, err, must)
	}
	require.Equal(t, requestRow{Status: "pending"}, progress(t, db, "r"))
}
