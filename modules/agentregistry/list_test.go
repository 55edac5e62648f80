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

func TestAPageHasAnEnd(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	_, err := db.Exec(ctx, `
		with a as (insert into registry.agents (id, name, model_family) select 'a' || g, g::text, 'x' from generate_series(1, 1001) g returning id),
		p as (insert into registry.agent_performance (agent_id) select id from a)
		insert into registry.agent_load (agent_id) select id from a`)
	require.NoError(t, err)
	for _, limit := range []int{0, 1000} {
		page, next, err := c.List(ctx, agentregistry.ListOptions{Limit: limit})
		require.NoError(t, err)
		require.Equal(t, 1000, len(page)) //nolint:testifylint // Len would print them all
		rest, end, err := c.List(ctx, agentregistry.ListOptions{Limit: limit, After: next})
		require.NoError(t, err)
		require.Len(t, rest, 1)
		require.Empty(t, end)
		full, end, err := c.List(ctx, agentregistry.ListOptions{Limit: 1, After: next})
		require.NoError(t, err)
		require.Equal(t, rest, full)
		require.Empty(t, end, "a page that is just full is the last")
	}
	_, _, err = c.List(ctx, agentregistry.ListOptions{Limit: 1001})
	require.ErrorIs(t, err, modules.ErrInvalid)
	require.ErrorContains(t, err, "limit must be from 1 to 1000, and 0 for that")
}
