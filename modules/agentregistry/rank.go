package agentregistry

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules/internal/keyset"
)

// rankColumns are the columns of a search: the order, and the columns that conditions use.
const rankColumns = "l.tenant_id, l.agent_id as id, l.success_order, -l.success_order as success_rate, l.utilization_percent"

// ranks is a table of the agents with rankColumns. An index has the order and all of the columns: a
// search that stops early reads few agents.
const ranks = "(select " + rankColumns + " from registry.agent_load l)"

// ranksOf returns the row of ranks of each agent of k. The condition on active_tasks holds for every
// agent: the index of ranks lacks the column. Else a planner that expects few agents of the tenant
// would look for each agent in that index, and read all agents of the tenant.
func ranksOf(k string) string {
	return "lateral (select " + rankColumns + " from registry.agent_load l where l.tenant_id = " + k + ".tenant_id and l.agent_id = " + k + ".id" +
		" and l.active_tasks >= 0 offset 0) o"
}

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
// wishes, with the columns of ranks. first is @first.
//
// Of N agents, n meet the rarest wish. A walk through the agents in the order meets a match after
// N/n agents, so the search looks at @first * N/n agents. A look-up of all n agents costs less if n
// is less than the root of @first * N. A walk looks at a tenth of longestWalk agents, and at the rest
// if the tenth had a tenth of the matches. If a walk ends with too few matches, the search intersects
// the sets of the agents that meet the wishes: a range of an index costs less than a look-up for
// each agent. A group by agent would keep to work_mem, and take twice the time of intersect. The
// limits of both sets never cut an agent: the limits make the planner expect few. app.current_tenant
// is not marked as parallel safe, so the server starts no workers, which cost more than the search.
func rankedSQL(where string, wishes []wish, first int) string {
	const order = " order by " + rankOrder
	limit := fmt.Sprintf("%s limit %d", order, keyset.Bound(first))
	if len(wishes) == 0 {
		return fmt.Sprintf("select o.* from (select o.* from %s o where %s%s) o limit @first::bigint", ranks, where, limit)
	}
	tenth := longestWalk / 10
	all, known := make([]string, len(wishes)), make([]string, len(wishes))
	for i, w := range wishes {
		all[i], known[i] = w.met("o"), w.met("k")
	}
	// walk returns the first matches of a part of the agents.
	walk := func(condition, part, missing string) string {
		return fmt.Sprintf(`select * from (select o.* from (select * from %s o where %s and %s%s%s) o
        where %s%s) o limit %s`, ranks, condition, where, order, part, strings.Join(all, "\n  and "), limit, missing)
	}
	// best returns the first agents of k that meet where.
	best := func(k string) string {
		return fmt.Sprintf("(select * from (select o.* from (%s) k, %s where %s%s) o limit @first::bigint)", k, ranksOf("k"), where, limit)
	}
	sizes, sets, matches := make([]string, len(wishes)), make([]string, len(wishes)), make([]string, len(wishes))
	for i, w := range wishes {
		sizes[i] = fmt.Sprintf("select %d as i, (select count(*) from (select from %s limit (select most from bound) + 1) c) as n", i, w.rows)
		sets[i] = fmt.Sprintf("select c.tenant_id, %s as id from %s and (select intersect_all from decision)", w.id, w.rows)
		others := slices.Concat([]string{"true"}, known[:i], known[i+1:])
		matches[i] = best(fmt.Sprintf(`select k.* from (select distinct c.tenant_id, c.id from (select c.tenant_id, %s as id from %s
          and (select rare and i = %d from start) limit (select most from bound)) c) k where %s`, w.id, w.rows, i, strings.Join(others, "\n  and ")))
	}
	matches = append(matches, best("select distinct k.* from ("+strings.Join(sets, "\n          intersect ")+") k limit (select 9223372036854775807)"))
	return `
    with total as materialized (
        select coalesce(sum(agents), 0) as n from registry.agent_counts where tenant_id = app.current_tenant()
    ), bound as materialized (
        select sqrt(@first::float8 * n)::bigint as most from total
    ), sizes as materialized (
        ` + strings.Join(sizes, " union all ") + `
    ), start as materialized (
        select i, n <= (select most from bound) as rare from sizes order by n, i limit 1
    ), tenth as materialized (
        ` + walk("not (select rare from start)", fmt.Sprintf(" limit %d", tenth), "@first::bigint") + `
    ), rest as materialized (
        select case when n * 10 >= @first::bigint then ` + strconv.Itoa(9*tenth) + ` else 0 end as length, @first::bigint - n as missing
        from (select count(*) as n from tenth) t
    ), walked as materialized (
        ` + walk("true", fmt.Sprintf(" offset %d limit (select length from rest)", tenth), "(select missing from rest)") + `
    ), decision as materialized (
        select not rare and (select n from total) > ` + strconv.Itoa(tenth) + ` + length and (select count(*) from walked) < missing as intersect_all from start, rest
    )
    select o.* from (
        select * from tenth union select * from walked union ` + strings.Join(matches, "\n        union ") + `
    ) o` + order + " limit @first::bigint"
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
