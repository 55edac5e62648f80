package agentregistry_test

import (
	"encoding/base64"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/agentregistry"
)

func TestListPagesByKey(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	at := time.Now().Truncate(time.Microsecond)
	var want []string
	for i := range 25 {
		id := fmt.Sprintf("agent-%02d", i)
		want = append(want, id)
		// Groups of three share a time: the id breaks the tie.
		register(t, ctx, c, agent(id, func(a *agentregistry.Agent) { a.LastActiveAt = at.Add(-time.Duration(i/3) * time.Second) }))
	}
	all, next, err := c.List(ctx, agentregistry.ListOptions{})
	require.NoError(t, err)
	require.Empty(t, next)
	require.Equal(t, want, ids(all))

	var got []string
	sizes := []int{}
	for after := ""; ; {
		page, next, err := c.List(ctx, agentregistry.ListOptions{Limit: 10, After: after})
		require.NoError(t, err)
		got, sizes = append(got, ids(page)...), append(sizes, len(page))
		if next == "" {
			break
		}
		after = next
	}
	require.Equal(t, want, got)
	require.Equal(t, []int{10, 10, 5}, sizes)

	cursor := func(json string) string { return base64.RawURLEncoding.EncodeToString([]byte(json)) }
	for _, opts := range []agentregistry.ListOptions{
		{After: "%%"}, {After: cursor("no json")}, {After: cursor(`{}`)}, {After: cursor(`{"id": "ada"}`)},
		{After: cursor(`{"t": "2026-01-01T00:00:00Z"}`)}, {After: cursor(`{"t": "2026-01-01T00:00:00Z", "id": "a\u0000"}`)},
		{Limit: -1}, {Limit: math.MaxInt},
	} {
		_, _, err := c.List(ctx, opts)
		require.ErrorIs(t, err, modules.ErrInvalid)
	}
	empty, _, err := c.List(as(t, "globex"), agentregistry.ListOptions{})
	require.NoError(t, err)
	require.NotNil(t, empty)
	require.Empty(t, empty)
}
