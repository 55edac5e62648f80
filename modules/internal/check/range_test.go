package check_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/check"
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
	tooLate, tooLong := time.Date(9999, time.December, 31, 0, 0, 0, 0, time.UTC), check.MaxDuration+1
	fine := tooLate.Add(-1)
	require.NoError(t, check.Ranges(ranged{}), "zero is for the default")
	require.NoError(t, check.Ranges(ranged{
		base: base{fine}, Took: check.MaxDuration, Until: &time.Time{}, Parts: []part{{fine}, {}}, raw: []byte("x"),
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
		err := check.Ranges(v)
		require.ErrorIs(t, err, modules.ErrInvalid)
		require.ErrorContains(t, err, must)
		require.Equal(t, err, check.Ranges(&v), "through a pointer too")
	}
}

func TestRangesOfNumbersThatAreAddedUp(t *testing.T) {
	t.Parallel()
	most := float64(check.MaxDuration / time.Millisecond)
	require.NoError(t, check.First(
		check.Count("f", 0), check.Count("f", check.MaxCount),
		check.Milliseconds("f", 0), check.Milliseconds("f", most),
		check.Timeout("f", 0), check.Timeout("f", time.Millisecond), check.Timeout("f", check.MaxDuration),
		check.Duration("f", -check.MaxDuration),
		check.Past("f"), check.Past("f", time.Time{}, time.Now().Add(check.MaxAhead-time.Minute)),
	))
	for must, errs := range map[string][]error{
		"must be from 0 to 1000000000000000":      {check.Count("f", -1), check.Count("f", check.MaxCount+1)},
		"must be from 0 to 3153600000000":         {check.Milliseconds("f", -1), check.Milliseconds("f", most+1), check.Milliseconds("f", math.NaN()), check.Milliseconds("f", math.Inf(1))},
		"must be whole milliseconds from 1 ms":    {check.Timeout("f", -time.Millisecond), check.Timeout("f", 1), check.Timeout("f", 1500*time.Microsecond)},
		"must not be more than 5m0s ahead of the": {check.Past("f", time.Time{}, time.Now().Add(check.MaxAhead+time.Minute))},
	} {
		for _, err := range errs {
			require.ErrorIs(t, err, modules.ErrInvalid)
			require.ErrorContains(t, err, "invalid: f "+must)
		}
	}
}
