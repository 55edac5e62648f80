package modules_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
)

type base struct {
	At time.Time `json:"at"`
}

type ranged struct {
	base
	Took  time.Duration  `json:"took_ns,omitempty"`
	Until *time.Time     `json:"until"`
	Parts []part         `json:"parts"`
	Meta  map[string]any `json:"meta"`
	Bare  *time.Duration
	raw   []byte
}

type part struct {
	Seen time.Time `json:"seen"`
}

func TestCheckRangesFindsEveryTimeAndDuration(t *testing.T) {
	t.Parallel()
	tooLate, tooLong := time.Date(9999, time.December, 31, 0, 0, 0, 0, time.UTC), modules.MaxDuration+1
	fine := tooLate.Add(-1)
	require.NoError(t, modules.CheckRanges(ranged{}), "zero is for the default")
	require.NoError(t, modules.CheckRanges(ranged{
		base: base{fine}, Took: modules.MaxDuration, Until: &time.Time{}, Parts: []part{{fine}, {}}, raw: []byte("x"),
		Meta: map[string]any{"at": tooLate}, // free, and text once it is stored
	}))
	before := time.Date(0, time.December, 31, 23, 0, 0, 0, time.UTC)
	for must, v := range map[string]ranged{
		"invalid: at must be in the years 1 to 9999":            {base: base{tooLate}},
		"invalid: until must be in the years":                   {Until: &tooLate},
		"invalid: parts[1].seen must be in the years":           {Parts: []part{{fine}, {before}}},
		"invalid: took_ns must be at most 876000 h":             {Took: tooLong},
		"invalid: Bare must be at most 876000 h":                {Bare: &tooLong},
		"invalid: took_ns must be at most 876000 h, which are ": {Took: math.MinInt64},
		"invalid: at must be in the years 1 to 9999, and":       {base: base{fine.In(time.FixedZone("west", -12*3600)).Add(1)}},
	} {
		err := modules.CheckRanges(v)
		require.ErrorIs(t, err, modules.ErrInvalid)
		require.ErrorContains(t, err, must)
		require.Equal(t, err, modules.CheckRanges(&v), "through a pointer too")
	}
}

func TestRangesOfNumbersThatAreAddedUp(t *testing.T) {
	t.Parallel()
	most := float64(modules.MaxDuration / time.Millisecond)
	require.NoError(t, modules.FirstError(
		modules.CheckCount("f", 0), modules.CheckCount("f", modules.MaxCount),
		modules.CheckMilliseconds("f", 0), modules.CheckMilliseconds("f", most),
		modules.CheckTimeout("f", 0), modules.CheckTimeout("f", time.Millisecond), modules.CheckTimeout("f", modules.MaxDuration),
		modules.CheckDuration("f", -modules.MaxDuration),
		modules.CheckPast("f"), modules.CheckPast("f", time.Time{}, time.Now().Add(modules.MaxAhead-time.Minute)),
	))
	for must, errs := range map[string][]error{
		"must be from 0 to 1000000000000000":      {modules.CheckCount("f", -1), modules.CheckCount("f", modules.MaxCount+1)},
		"must be from 0 to 3153600000000":         {modules.CheckMilliseconds("f", -1), modules.CheckMilliseconds("f", most+1), modules.CheckMilliseconds("f", math.NaN()), modules.CheckMilliseconds("f", math.Inf(1))},
		"must be whole milliseconds from 1 ms":    {modules.CheckTimeout("f", -time.Millisecond), modules.CheckTimeout("f", 1), modules.CheckTimeout("f", 1500*time.Microsecond)},
		"must not be more than 5m0s ahead of the": {modules.CheckPast("f", time.Time{}, time.Now().Add(modules.MaxAhead+time.Minute))},
	} {
		for _, err := range errs {
			require.ErrorIs(t, err, modules.ErrInvalid)
			require.ErrorContains(t, err, "invalid: f "+must)
		}
	}
}
