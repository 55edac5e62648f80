package agentregistry_test

import (
	"context"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/agentregistry"
)

// team registers five agents that differ in what the filters look at.
func team(t *testing.T, ctx context.Context, c *agentregistry.Client) {
	t.Helper()
	for i, a := range []struct {
		id, task      string
		languages     []string
		specialities  []string
		success, load float64
	}{
		{"a", "research", []string{"Go", "Rust"}, []string{"Security audit"}, 0.9, 5},
		{"b", "research", []string{"Go"}, nil, 0.9, 1},
		{"c", "testing", []string{"Python"}, []string{"API design"}, 0.5, 0},
		{"d", "research", []string{"Rust", "Python"}, []string{"API design", "Security audit"}, 0.7, 10},
		{"e", "testing", nil, nil, 0.9, 1},
	} {
		register(t, ctx, c, agent(a.id, func(g *agentregistry.Agent) {
			g.Capabilities = agentregistry.Capabilities{TaskTypes: []string{a.task}, Languages: a.languages, Specializations: a.specialities}
			g.Performance = agentregistry.Performance{SuccessRate: a.success, AverageQuality: 0.5, TaskCount: int64(i + 1)}
			g.Load.ActiveTasks = int(a.load)
		}))
	}
}

// Each combination of filters is a statement of its own.
func TestFiltersCombine(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	team(t, ctx, c)
	all, err := c.FindByCapability(ctx, agentregistry.Query{})
	require.NoError(t, err)
	anyOf := func(wanted, have []string) bool {
		return len(wanted) == 0 || slices.ContainsFunc(wanted, func(w string) bool { return slices.Contains(have, w) })
	}
	for set := range 32 {
		var q agentregistry.Query
		if set&1 != 0 {
			q.TaskType = "research"
		}
		if set&2 != 0 {
			q.Languages = []string{"Rust", "Python", "Rust"}
		}
		if set&4 != 0 {
			q.Specializations = []string{"Security audit"}
		}
		if set&8 != 0 {
			q.MaxUtilization = ptr(50.0)
		}
		if set&16 != 0 {
			q.MinSuccessRate = ptr(0.6)
		}
		want := []string{}
		for _, a := range all {
			if (q.TaskType == "" || slices.Contains(a.Capabilities.TaskTypes, q.TaskType)) &&
				anyOf(q.Languages, a.Capabilities.Languages) && anyOf(q.Specializations, a.Capabilities.Specializations) &&
				(q.MaxUtilization == nil || a.Load.UtilizationPercent <= *q.MaxUtilization) &&
				(q.MinSuccessRate == nil || a.Performance.SuccessRate >= *q.MinSuccessRate) {
				want = append(want, a.ID)
			}
		}
		got, err := c.FindByCapability(ctx, q)
		require.NoError(t, err)
		require.Equal(t, want, ids(got), "%+v", q)
		scored, err := c.FindScored(ctx, q)
		require.NoError(t, err)
		require.Len(t, scored, len(want), "%+v", q)
	}
}

func TestFindByCapability(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	team(t, ctx, c)
	for _, q := range []struct {
		name  string
		query agentregistry.Query
		want  []string
	}{
		{"everything, in order", agentregistry.Query{}, []string{"b", "e", "a", "d", "c"}},
		{"a task type", agentregistry.Query{TaskType: "research"}, []string{"b", "a", "d"}},
		{"any of the languages", agentregistry.Query{Languages: []string{"Rust", "Python"}}, []string{"a", "d", "c"}},
		{"any of the specializations", agentregistry.Query{Specializations: []string{"API design"}}, []string{"d", "c"}},
		{"utilization", agentregistry.Query{MaxUtilization: ptr(50.0)}, []string{"b", "e", "a", "c"}},
		{"no utilization", agentregistry.Query{MaxUtilization: ptr(0.0)}, []string{"c"}},
		{"success rate", agentregistry.Query{MinSuccessRate: ptr(0.7)}, []string{"b", "e", "a", "d"}},
		{"all joined with AND", agentregistry.Query{TaskType: "research", Languages: []string{"Rust"}, Specializations: []string{"Security audit"}, MaxUtilization: ptr(99.0), MinSuccessRate: ptr(0.9)}, []string{"a"}},
		{"a limit", agentregistry.Query{Limit: 2}, []string{"b", "e"}},
		{"no match", agentregistry.Query{TaskType: "juggling"}, []string{}},
	} {
		got, err := c.FindByCapability(ctx, q.query)
		require.NoError(t, err, q.name)
		require.Equal(t, q.want, ids(got), q.name)
	}
	for field, q := range map[string]agentregistry.Query{
		"max_utilization must": {MaxUtilization: ptr(101.0)}, "max_utilization must be from 0 to 100": {MaxUtilization: ptr(math.NaN())},
		"min_success_rate must": {MinSuccessRate: ptr(-0.1)}, "limit must": {Limit: -1}, "limit must be from 1 to 1000, and 0 for": {Limit: 1001},
		"languages must": {Languages: []string{""}}, "specializations must": {Specializations: []string{"\x00"}}, "task_type must": {TaskType: " "},
	} {
		_, err := c.FindByCapability(ctx, q)
		require.ErrorIs(t, err, modules.ErrInvalid, field)
		require.ErrorContains(t, err, "find: invalid: "+field)
	}
}
