package modules_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
)

type color string

func TestChecksLetPassWhatIsWithinTheBounds(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"check":              modules.Check("f", "must", true),
		"an id":              modules.CheckID("f", "x"),
		"the longest id":     modules.CheckID("f", strings.Repeat("x", 255)),
		"a uuid":             modules.CheckUUID("f", "00000000-0000-0000-0000-00000000000a"),
		"a text":             modules.CheckText("f", "ä", 2),
		"no text":            modules.CheckStorable("f"),
		"empty texts":        modules.CheckStorable("f", "", strings.Repeat("x", 10_000)),
		"a missing text":     modules.CheckOptional("f", nil),
		"a text that is set": modules.CheckOptional("f", new(string)),
		"0 of 1":             modules.CheckShare("f", 0),
		"1 of 1":             modules.CheckShare("f", 1),
		"the least":          modules.CheckInt32("f", 3, 3),
		"the most":           modules.CheckInt32("f", math.MaxInt32, 3),
		"a value":            modules.CheckEnum("f", color("b"), []color{"a", "b"}),
		"JSON":               modules.CheckJSON("f", []byte(`{"a": ["\\u0000", "\"\n", 1]}`)),
	} {
		require.NoError(t, err, name)
	}
}

func TestChecksNameTheFieldAndSayWhatItMustBe(t *testing.T) {
	t.Parallel()
	zero := "\x00"
	for must, errs := range map[string][]error{
		"must be so":                      {modules.Check("f", "must be so", false), modules.Invalid("f", "must be so")},
		"must not be blank":               {modules.CheckID("f", ""), modules.CheckText("f", " \t\n", 9)},
		"must be at most 255 bytes":       {modules.CheckID("f", strings.Repeat("x", 256))},
		"must be at most 1 bytes":         {modules.CheckText("f", "ä", 1)},
		"must be a UUID":                  {modules.CheckUUID("f", ""), modules.CheckUUID("f", "x"), modules.CheckUUID("f", "00000000-0000-0000-0000-00000000000")},
		"must be text without NUL bytes":  {modules.CheckID("f", "a\x00"), modules.CheckStorable("f", "", "\xff"), modules.CheckOptional("f", &zero)},
		"must be from 0 to 1":             {modules.CheckShare("f", -1e-9), modules.CheckShare("f", 1+1e-9), modules.CheckShare("f", math.NaN())},
		"must be from 3 to 2147483647":    {modules.CheckInt32("f", 2, 3), modules.CheckInt32("f", math.MaxInt32+1, 3)},
		"must be one of [a b]":            {modules.CheckEnum("f", color("c"), []color{"a", "b"}), modules.CheckEnum("f", color(""), []color{"a", "b"})},
		"must be valid JSON in UTF-8":     {modules.CheckJSON("f", nil), modules.CheckJSON("f", []byte("{")), modules.CheckJSON("f", []byte("\"\xff\""))},
		"must not hold the NUL character": {modules.CheckJSON("f", []byte(`["\u0000"]`)), modules.CheckJSON("f", []byte(`["\\\u0000"]`)), modules.CheckJSON("f", []byte(`{"\n\u0000": 1}`))},
	} {
		for i, err := range errs {
			require.ErrorIs(t, err, modules.ErrInvalid, "%s %d", must, i)
			require.EqualError(t, err, "invalid: f "+must)
		}
	}
}

func TestFirstErrorIsTheFirst(t *testing.T) {
	t.Parallel()
	require.NoError(t, modules.FirstError())
	require.NoError(t, modules.FirstError(nil, nil))
	require.Same(t, errElse, modules.FirstError(nil, errElse, errors.New("later")))
}

func TestEncodeJSON(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]any{
		"{}": map[string]any(nil), "[]": []string(nil), "null": nil, `{"a":1}`: map[string]any{"a": 1}, `[1,2]`: []int{1, 2}, `"x"`: "x",
		`"\\u0000"`: `\u0000`,
	} {
		got, err := modules.EncodeJSON("f", v)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := modules.EncodeJSON("f", math.Inf(1))
	require.EqualError(t, err, "invalid: f must be what JSON can hold")
	_, err = modules.EncodeJSON("f", map[string]any{"a": "\x00"})
	require.EqualError(t, err, "invalid: f must not hold the NUL character")
}

func ExampleFirstError() {
	fmt.Println(modules.FirstError(
		modules.CheckID("id", "ada"),
		modules.CheckShare("quality", 1.5),
		modules.CheckText("name", "", 255),
	))
	// Output: invalid: quality must be from 0 to 1
}
