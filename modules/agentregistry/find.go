package agentregistry

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
)

// Query selects agents. All set filters are joined with AND.
type Query struct {
	TaskType        string   `json:"task_type"`        // can do the type
	Languages       []string `json:"languages"`        // knows any of the languages
	Specializations []string `json:"specializations"`  // has any of the specializations
	MaxUtilization  *float64 `json:"max_utilization"`  // percent
	MinSuccessRate  *float64 `json:"min_success_rate"` // 0 to 1
	Limit           int      `json:"limit"`            // 0: none
}

func (q Query) validate() error {
	err := modules.FirstError(
		Capabilities{Languages: q.Languages, Specializations: q.Specializations}.validate(""),
		modules.CheckInt32("limit", q.Limit, 0),
	)
	if q.TaskType != "" {
		err = modules.FirstError(err, modules.CheckText("task_type", q.TaskType, 100))
	}
	if q.MaxUtilization != nil {
		err = modules.FirstError(err, checkPercent("max_utilization", *q.MaxUtilization))
	}
	if q.MinSuccessRate != nil {
		err = modules.FirstError(err, modules.CheckShare("min_success_rate", *q.MinSuccessRate))
	}
	return err
}

// filter returns the conditions that are set, joined with AND, and the values of all filters.
// filter leaves an unset condition out of the text: for a condition with "or" the planner would
// not use an index.
func (q Query) filter() (where string, args pgx.NamedArgs) {
	args = pgx.NamedArgs{
		"task_type": q.TaskType, "languages": unique(q.Languages), "specializations": unique(q.Specializations),
		"max_utilization": q.MaxUtilization, "min_success_rate": q.MinSuccessRate, "limit": nil,
	}
	if q.Limit > 0 {
		args["limit"] = q.Limit
	}
	where = "true"
	for _, f := range []struct {
		set       bool
		condition string
	}{
		{q.TaskType != "", has("task_type", "= @task_type::text")},
		{len(q.Languages) > 0, has("language", "= any(@languages::text[])")},
		{len(q.Specializations) > 0, has("specialization", "= any(@specializations::text[])")},
		{q.MaxUtilization != nil, "o.utilization_percent <= @max_utilization::float8"},
		{q.MinSuccessRate != nil, "o.success_rate >= @min_success_rate::float8"},
	} {
		if f.set {
			where += "\n  and " + f.condition
		}
	}
	return where, args
}

// unique returns a set, never nil: nil would be null.
func unique(values []string) []string {
	out := append([]string{}, values...)
	slices.Sort(out)
	return slices.Compact(out)
}

// has returns a condition on a capability, for the index on (tenant_id, kind, value).
func has(kind, test string) string {
	return "exists (select from registry.agent_capabilities c where c.tenant_id = o.tenant_id and c.agent_id = o.id and c.kind = '" + kind + "' and c.value " + test + ")"
}

// FindByCapability returns the agents that match q, the most successful first, among equals the
// least busy, modules.PageBytes at most. No match is an empty slice.
func (c *Client) FindByCapability(ctx context.Context, q Query) ([]Agent, error) {
	if err := q.validate(); err != nil {
		return nil, wrap("find", err)
	}
	where, args := q.filter()
	rows, _, err := modules.Bounded[overview](ctx, c.db, "select "+columns+" from registry.agent_overview o where "+where+`
order by o.success_rate desc, o.utilization_percent, o.id limit @limit::bigint`, args)
	if err != nil {
		return nil, wrap("find", err)
	}
	return agents(rows), nil
}
