package agentregistry

import (
	"cmp"
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/store"
)

// Query selects agents. All set filters are joined with AND.
type Query struct {
	TaskType        string   `json:"task_type"`        // can do the type
	Languages       []string `json:"languages"`        // knows any of the languages
	Specializations []string `json:"specializations"`  // has any of the specializations
	MaxUtilization  *float64 `json:"max_utilization"`  // percent
	MinSuccessRate  *float64 `json:"min_success_rate"` // 0 to 1
	Limit           int      `json:"limit"`            // at most 1000; 0 is the default of the method
}

func (q Query) validate() error {
	err := check.First(
		Capabilities{Languages: q.Languages, Specializations: q.Specializations}.validate(""),
		check.That("limit", "must be from 1 to 1000, and 0 for the default", q.Limit >= 0 && q.Limit <= pageLimit),
	)
	if q.TaskType != "" {
		err = check.First(err, check.Text("task_type", q.TaskType, 100))
	}
	if q.MaxUtilization != nil {
		err = check.First(err, checkPercent("max_utilization", *q.MaxUtilization))
	}
	if q.MinSuccessRate != nil {
		err = check.First(err, check.Share("min_success_rate", *q.MinSuccessRate))
	}
	return err
}

// findLimit is the default of Query.Limit.
const findLimit = 100

// hidden returns an argument in a form whose value the planner does not see. A plan for the value
// then never looks cheaper than a plan for any value, and the server keeps the latter: to plan a
// search anew takes longer than most searches.
func hidden(arg string) string { return "(select @" + arg + ")" }

// capable returns the wish for a capability of a kind.
func capable(kind, test string) wish {
	return wish{"registry.agent_capabilities c where c.kind = '" + kind + "' and c.value " + test, "c.agent_id"}
}

// wishes returns the conditions on capabilities that are set.
func (q Query) wishes() (all []wish) {
	if q.TaskType != "" {
		all = append(all, capable("task_type", "= "+hidden("task_type::text")))
	}
	if len(q.Languages) > 0 {
		all = append(all, capable("language", "= any("+hidden("languages::text[]")+"::text[])"))
	}
	if len(q.Specializations) > 0 {
		all = append(all, capable("specialization", "= any("+hidden("specializations::text[]")+"::text[])"))
	}
	return all
}

// filter returns the conditions on the agent's own figures that are set, joined with AND, and the
// values of all filters. filter leaves an unset condition out of the text: for a condition with
// "or" the planner would not use an index.
func (q Query) filter() (where string, args pgx.NamedArgs) {
	args = pgx.NamedArgs{
		"task_type": q.TaskType, "languages": unique(q.Languages), "specializations": unique(q.Specializations),
		"max_utilization": q.MaxUtilization, "min_success_rate": q.MinSuccessRate, "first": cmp.Or(q.Limit, findLimit),
	}
	where = "true"
	if q.MaxUtilization != nil {
		where += "\n  and o.utilization_percent <= " + hidden("max_utilization::float8")
	}
	if q.MinSuccessRate != nil {
		where += "\n  and o.success_order <= -" + hidden("min_success_rate::float8")
	}
	return where, args
}

// unique returns a set, never nil: nil would be null.
func unique(values []string) []string {
	out := append([]string{}, values...)
	slices.Sort(out)
	return slices.Compact(out)
}

// FindByCapability returns the agents that match q, the most successful first, among equals the
// least busy, 100 without a limit, and modules.PageBytes at most. No match is an empty slice.
func (c *Client) FindByCapability(ctx context.Context, q Query) ([]Agent, error) {
	if err := q.validate(); err != nil {
		return nil, wrap("find", err)
	}
	ids, args := q.ranked("")
	rows, _, err := store.Bounded[overview](ctx, c.db, overviewSQL(ids)+" order by o.success_rate desc, o.utilization_percent, o.id", args)
	if err != nil {
		return nil, wrap("find", err)
	}
	return agents(rows), nil
}
