package check_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/check"
)

type color string

func TestChecksLetPassWhatIsWithinTheBounds(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"check":              check.That("f", "must", true),
		"an id":              check.ID("f", "x"),
		"the longest id":     check.ID("f", strings.Repeat("x", 255)),
		"a uuid":             check.UUID("f", "00000000-0000-0000-0000-00000000000a"),
		"a text":             check.Text("f", "ä", 2),
		"no text":            check.Storable("f"),
		"empty texts":        check.Storable("f", "", strings.Repeat("x", 10_000)),
		"a missing text":     check.Optional("f", nil),
		"a text that is set": check.Optional("f", new(string)),
		"0 of 1":             check.Share("f", 0),
		"1 of 1":             check.Share("f", 1),
		"the least":          check.Int32("f", 3, 3),
		"the most":           check.Int32("f", math.MaxInt32, 3),
		"a value":            check.Enum("f", color("b"), []color{"a", "b"}),
		"JSON":               check.JSON("f", []byte(`{"a": ["\\u0000", "\"\n", 1]}`)),
	} {
		require.NoError(t, err, name)
	}
}

func TestChecksNameTheFieldAndSayWhatItMustBe(t *testing.T) {
	t.Parallel()
	zero := "\x00"
	for must, errs := range map[string][]error{
		"must be so":                      {check.That("f", "must be so", false), check.Invalid("f", "must be so")},
		"must not be blank":               {check.ID("f", ""), check.Text("f", " \t\n", 9)},
		"must be at most 255 bytes":       {check.ID("f", strings.Repeat("x", 256))},
		"must be at most 1 bytes":         {check.Text("f", "ä", 1)},
		"must be a UUID":                  {check.UUID("f", ""), check.UUID("f", "x"), check.UUID("f", "00000000-0000-0000-0000-00000000000")},
		"must be text without NUL bytes":  {check.ID("f", "a\x00"), check.Storable("f", "", "\xff"), check.Optional("f", &zero)},
		"must be from 0 to 1":             {check.Share("f", -1e-9), check.Share("f", 1+1e-9), check.Share("f", math.NaN())},
		"must be from 3 to 2147483647":    {check.Int32("f", 2, 3), check.Int32("f", math.MaxInt32+1, 3)},
		"must be one of [a b]":            {check.Enum("f", color("c"), []color{"a", "b"}), check.Enum("f", color(""), []color{"a", "b"})},
		"must be valid JSON in UTF-8":     {check.JSON("f", nil), check.JSON("f", []byte("{")), check.JSON("f", []byte("\"\xff\""))},
		"must not hold the NUL character": {check.JSON("f", []byte(`["\u0000"]`)), check.JSON("f", []byte(`["\\\u0000"]`)), check.JSON("f", []byte(`{"\n\u0000": 1}`))},
	} {
		for i, err := range errs {
			require.ErrorIs(t, err, modules.ErrInvalid, "%s %d", must, i)
			require.EqualError(t, err, "invalid: f "+must)
		}
	}
}

func TestFirstErrorIsTheFirst(t *testing.T) {
	t.Parallel()
	require.NoError(t, check.First())
	require.NoError(t, check.First(nil, nil))
	first := errors.New("first")
	require.Same(t, first, check.First(nil, first, errors.New("later")))
}

func ExampleFirst() {
	fmt.Println(check.First(
		check.ID("id", "ada"),
		check.Share("quality", 1.5),
		check.Text("name", "", 255),
	))
	// Output: invalid: quality must be from 0 to 1
}
