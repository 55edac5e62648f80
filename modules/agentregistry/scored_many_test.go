package agentregistry_test

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/clienttest"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/agentregistry"
)

// The plain statement of a score: it reads all of each agent.
const naiveScoredSQL = `
select id, 0.4 * l + 0.2 * s + 0.25 * success_rate + 0.15 * (1 - utilization_percent / 100) as score, l * n::float8 as languages, s * m::float8 as specializations
from (select o.*, n, m,
             case when n = 0 then 1.0 else (select count(*) from unnest($1::text[]) w where w = any(o.languages))::float8 / n end as l,
             case when m = 0 then 1.0 else (select count(*) from unnest($2::text[]) w where w = any(o.specializations))::float8 / m end as s
      from (select * from registry.agent_overview o
            where ($3::text = '' or $3::text = any(task_types)) and (cardinality($1::text[]) = 0 or languages && $1::text[]) and (cardinality($2::text[]) = 0 or specializations && $2::text[])
            order by o.success_rate desc, o.utilization_percent, o.id limit 500) o, (select cardinality($1::text[]) as n, cardinality($2::text[]) as m) c) o
order by score desc, id`

func TestTheScoresOfManyAgentsAreThoseOfThePlainStatement(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	clienttest.Exec(t, ctx, db, `
		with g as (select g, 'a' || g as id, random() as r from generate_series(1, 900) g),
		a as (insert into registry.agents (id, name, model_family) select id, id, 'x' from g),
		p as (insert into registry.agent_performance (agent_id, success_rate) select id, case when g % 3 = 0 then 0.5 else r end from g),
		c as (insert into registry.agent_capabilities (agent_id, kind, value)
			select id, kind, kind || v from g, unnest('{task_type,language,specialization}'::text[]) kind, generate_series(1, 4) v where random() < 0.5)
		insert into registry.agent_load (agent_id, utilization_percent, success_order) select id, case when g % 2 = 0 then 30 else g * 7 % 101 end, case when g % 3 = 0 then -0.5 else -r end from g`)
	page, _, err := c.List(ctx, agentregistry.ListOptions{})
	require.NoError(t, err)
	agents := map[string]agentregistry.Agent{}
	for _, a := range page {
		agents[a.ID] = a
	}
	languages, specializations := []string{"language1", "language2", "language4", "none"}, []string{"specialization1", "specialization3"}
	type row struct {
		ID                                string
		Score, Languages, Specializations float64
	}
	all := []int{0, 1, 2, 3, 4}
	for _, n := range size.Of([]int{3}, []int{0, 4}, all) {
		for _, m := range size.Of([]int{1}, []int{0, 2}, all[:3]) {
			for _, task := range []string{"", "task_type2"} {
				q := agentregistry.Query{TaskType: task, Languages: languages[:n], Specializations: specializations[:m], Limit: 70}
				rows, err := db.Query(ctx, naiveScoredSQL, append([]string{}, q.Languages...), append([]string{}, q.Specializations...), task)
				require.NoError(t, err)
				want, err := pgx.CollectRows(rows, pgx.RowToStructByName[row])
				require.NoError(t, err)
				require.NotEmpty(t, want)

				best, err := c.FindScored(ctx, q)
				require.NoError(t, err)
				q.Limit = 130
				var paged []agentregistry.Scored
				for page := (modules.Page[agentregistry.Scored]{}); len(paged) == 0 || page.Next != ""; {
					page, err = c.FindScoredPage(ctx, q, page.Next)
					require.NoError(t, err)
					require.NotEmpty(t, page.Items)
					paged = append(paged, page.Items...)
				}
				require.Equal(t, best, paged[:len(best)])
				require.Len(t, best, min(70, len(want)))
				require.Len(t, paged, len(want))
				for i, got := range paged {
					a := agents[got.ID]
					reason := ""
					if n > 0 {
						reason = fmt.Sprintf("%.0f of %d languages, ", want[i].Languages, n)
					}
					if m > 0 {
						reason += fmt.Sprintf("%.0f of %d specializations, ", want[i].Specializations, m)
					}
					reason += fmt.Sprintf("success rate %.2f, utilization %.0f%%", a.Performance.SuccessRate, a.Load.UtilizationPercent)
					require.Equal(t, agentregistry.Scored{Agent: a, Score: want[i].Score, Reason: reason}, got, "%+v: %d", q, i)
				}
			}
		}
	}
}
