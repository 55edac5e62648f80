package agentregistry_test

import (
	"context"
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
		"max_utilization": {MaxUtilization: ptr(101.0)}, "min_success_rate": {MinSuccessRate: ptr(-0.1)}, "limit": {Limit: -1},
		"language": {Languages: []string{""}}, "task_type": {TaskType: " "},
	} {
		_, err := c.FindByCapability(ctx, q)
		require.ErrorIs(t, err, modules.ErrInvalid, field)
		require.ErrorContains(t, err, field)
	}
}
