package clienttest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
)

// Pages reads a list of n items in pages of 2, and returns all items. Pages fails unless
// the list has an end, and every page but the last is full.
func Pages[T any](t testing.TB, n int, read func(limit int, after string) (modules.Page[T], error)) (all []T) {
	t.Helper()
	const limit = 2
	for after := ""; ; {
		p, err := read(limit, after)
		require.NoError(t, err)
		all = append(all, p.Items...)
		if p.Next == "" {
			require.Len(t, all, n)
			return all
		}
		require.Len(t, p.Items, limit)
		require.Less(t, len(all), n, "the list has no end, or a next without a page")
		after = p.Next
	}
}
