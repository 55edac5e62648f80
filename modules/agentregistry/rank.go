package agentregistry

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// ranks is a table of the agents with the columns of a search: the order, and the columns that
// conditions use. An index has the order: a search that stops early reads few agents.
const ranks = "(select l.tenant_id, l.agent_id as id, l.success_order, -l.success_order as success_rate, l.utilization_percent from registry.agent_load l)"

// rankOrder is the order of a search on ranks o: the most successful agent first, among equals
// the least busy. All columns ascend.
const rankOrder = "o.success_order, o.utilization_percent, o.id"

// common is the number of agents from which a capability is common. Up to the number a search
// begins with the agents that have the capability. Beyond, a walk in the order of the search meets
// a match among a few hundred agents for each agent of the answer.
const common = "5000"

// rankedSQL returns a select of the first @limit agents that match q, by tenant_id and id, behind
// the agent of the condition behind; empty for the first agents. The search begins with the
// rarest wanted capability. If each wanted capability is common, or the query has none, the search
// walks through the agents in the order.
func (q Query) rankedSQL(behind string) (sql string, args pgx.NamedArgs) {
	where, args := q.filter()
	if q.MinSuccessRate != nil {
		where += "\n  and o.success_order <= -@min_success_rate::float8" // the end of the walk
	}
	if behind != "" {
		where += "\n  and " + behind
	}
	const order = " order by " + rankOrder + " limit @limit::bigint"
	var sizes, branches []string
	for _, w := range q.wanted() {
		of := "registry.agent_capabilities c where c.kind = '" + w.kind + "' and c.value " + w.test
		i := len(sizes)
		sizes = append(sizes, fmt.Sprintf("select %d as i, (select count(*) from (select from %s limit %s + 1) c) as n", i, of, common))
		branches = append(branches, fmt.Sprintf(`(select o.* from (select distinct c.tenant_id, c.agent_id from %s and (select i from start) = %d) c,
         lateral (select * from %s o where o.tenant_id = c.tenant_id and o.id = c.agent_id offset 0) o where %s%s)`, of, i, ranks, where, order))
	}
	if len(sizes) == 0 {
		return "select o.tenant_id, o.id from " + ranks + " o where " + where + order, args
	}
	return `
    with sizes as materialized (` + strings.Join(sizes, " union all ") + `), start as materialized (
        select i from sizes where n <= ` + common + ` order by n limit 1
    )
    select o.tenant_id, o.id from (
        (select o.* from ` + ranks + ` o where (select i from start) is null and ` + where + order + `)
        union all ` + strings.Join(branches, "\n        union all ") + `
    ) o` + order, args
}
