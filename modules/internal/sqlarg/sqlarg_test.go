package sqlarg_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules/internal/sqlarg"
)

func TestEncodeJSON(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]any{
		"{}": map[string]any(nil), "[]": []string(nil), "null": nil, `{"a":1}`: map[string]any{"a": 1}, `[1,2]`: []int{1, 2}, `"x"`: "x",
		`"\\u0000"`: `\u0000`,
	} {
		got, err := sqlarg.JSON("f", v)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := sqlarg.JSON("f", math.Inf(1))
	require.EqualError(t, err, "invalid: f must be what JSON can hold")
	_, err = sqlarg.JSON("f", map[string]any{"a": "\x00"})
	require.EqualError(t, err, "invalid: f must not hold the NUL character")
}
