package agentregistry

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules/internal/keyset"
)

// ranks is a table of the agents with the columns of a search: the order, and the columns that
// conditions use. An index has the order: a search that stops early reads few agents.
const ranks = "(select l.tenant_id, l.agent_id as id, l.success_order, -l.success_order as success_rate, l.utilization_percent from registry.agent_load l)"

// rankOrder is the order of a search on ranks o: the most successful agent first, among equals
// the least busy. All columns ascend.
const rankOrder = "o.success_order, o.utilization_percent, o.id"

// longestWalk is the number of agents at which a walk in the order of a search gives up.
var longestWalk = 20_000

// wish is a condition on the agent o that a different table answers.
type wish struct {
	rows string // the rows c of the table that meet the condition
	id   string // the column of the agent
}

// met returns the condition on an agent with the alias. With offset 0 the server looks up the
// agent's row, and does not join all rows.
func (w wish) met(alias string) string {
	return "exists (select from " + w.rows + " and c.tenant_id = " + alias + ".tenant_id and " + w.id + " = " + alias + ".id offset 0)"
}

// rankedSQL returns a select of the first @first agents that meet the condition where on o and the
// wishes, by tenant_id and id. first is @first.
//
// Of N agents, n meet the rarest wish. A walk through the agents in the order meets a match after
// N/n agents, so the search looks at @first * N/n agents. A look at all n agents costs less if n is
// less than the root of @first * N. A walk that meets too few matches gives up, and the search
// looks at the n agents after all. With offset 0 the planner does not read all capabilities in the
// order of the agents to spare the distinct.
func rankedSQL(where string, wishes []wish, first int) string {
	const order = " order by " + rankOrder + " limit @first::bigint"
	if len(wishes) == 0 {
		return fmt.Sprintf("select o.tenant_id, o.id from (select o.* from %s o where %s order by %s limit %d) o limit @first::bigint",
			ranks, where, rankOrder, keyset.Bound(first))
	}
	sizes, branches, all, known := make([]string, len(wishes)), make([]string, len(wishes)), make([]string, len(wishes)), make([]string, len(wishes))
	for i, w := range wishes {
		all[i], known[i] = w.met("o"), w.met("k")
		sizes[i] = fmt.Sprintf("select %d as i, (select count(*) from (select from %s limit (select most from bound) + 1) c) as n", i, w.rows)
	}
	for i, w := range wishes {
		others := slices.Concat([]string{"true"}, known[:i], known[i+1:])
		branches[i] = fmt.Sprintf(`(select o.* from (select distinct c.tenant_id, c.id from (select c.tenant_id, %s as id from %s and (select i from start) = %d and (select look from decision) offset 0) c) k,
         lateral (select * from %s o where o.tenant_id = k.tenant_id and o.id = k.id offset 0) o where %s
  and %s%s)`,
			w.id, w.rows, i, ranks, strings.Join(others, "\n  and "), where, order)
	}
	return `
    with total as materialized (
        select coalesce(sum(agents), 0) as n from registry.agent_counts
    ), bound as materialized (
        select sqrt(@first::float8 * n)::bigint as most from total
    ), sizes as materialized (
        ` + strings.Join(sizes, " union all ") + `
    ), start as materialized (
        select i, n <= (select most from bound) as rare from sizes order by n, i limit 1
    ), walked as materialized (
        select o.* from (select * from ` + ranks + ` o where not (select rare from start) and ` + where + ` order by ` + rankOrder + ` limit @walk::bigint) o
        where ` + strings.Join(all, "\n  and ") + order + `
    ), decision as materialized (
        select rare or (select n from total) > @walk::bigint and (select count(*) from walked) < @first::bigint as look from start
    )
    select o.tenant_id, o.id from (
        select * from walked union ` + strings.Join(branches, "\n        union ") + `
    ) o` + order
}

// ranked returns rankedSQL for q and the arguments. behind is a further condition on the agent o,
// empty for none.
func (q Query) ranked(behind string) (sql string, args pgx.NamedArgs) {
	where, args := q.filter()
	if behind != "" {
		where += "\n  and " + behind
	}
	return rankedSQL(where, q.wishes(), args["first"].(int)), args
}
