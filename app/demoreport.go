package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/modules/verification"
	"github.com/agentagency/onepool/tenant"
)

// figure is a line of the report: for each tenant the database's value, and the right value.
type figure struct {
	name      string
	got, want []int64
}

// report prints the figures and returns how many are wrong.
func report(ctx context.Context, out io.Writer, db *fxdb.DB, c clients, actors []actor) (wrong int, err error) {
	var lines []figure
	add := func(name string, got int64, want int) {
		for i := range lines {
			if lines[i].name == name {
				lines[i].got, lines[i].want = append(lines[i].got, got), append(lines[i].want, int64(want))
				return
			}
		}
		lines = append(lines, figure{name, []int64{got}, []int64{int64(want)}})
	}
	for _, a := range actors {
		if err := a.figures(a.context(ctx), db, c, add); err != nil {
			return 0, fmt.Errorf("%s: %w", a.tenant, err)
		}
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, a := range actors {
		fmt.Fprintf(t, "\t%s", a.name)
	}
	fmt.Fprintf(t, "\t\n")
	for _, l := range lines {
		fmt.Fprintf(t, "%s", l.name)
		for i, got := range l.got {
			fmt.Fprintf(t, "\t%d", got)
			if got != l.want[i] {
				fmt.Fprintf(t, ", not %d", l.want[i])
				wrong++
			}
		}
		fmt.Fprintf(t, "\t\n")
	}
	if err := t.Flush(); err != nil {
		return 0, fmt.Errorf("print the report: %w", err)
	}
	rows, _, err := count(tenant.System(ctx, "the demo shows that nobody sees no rows"), db)
	if err == nil && rows != 0 {
		fmt.Fprintf(out, "without a tenant %d rows are seen\n", rows)
		wrong++
	}
	return wrong, err
}

// figures adds the figures of a tenant: the clients' own, and the rows of the tables.
func (a actor) figures(ctx context.Context, db *fxdb.DB, c clients, add func(name string, got int64, want int)) error {
	right, failed := a.tasks-a.failing(), a.failing()
	runs := right + attemptsEach*failed

	agents, err := c.Agents.Stats(ctx)
	if err != nil {
		return err
	}
	add("agents", agents.TotalAgents, a.agents)
	add("agents still busy", agents.ActiveAgents, 0)

	walk, err := c.Web.TraversalStats(ctx, shelf)
	if err != nil {
		return err
	}
	add("pages visited", walk.PagesVisited, len(a.library))
	entries, err := c.Knowledge.EntryStats(ctx, "", "")
	if err != nil {
		return err
	}
	add("entries", entries.Active, len(a.library))

	queue, err := c.Orchestrator.Stats(ctx)
	if err != nil {
		return err
	}
	add("tasks", queue.Enqueued, a.tasks)
	add("completed", queue.Completed, right)
	add("failed", queue.Failed, failed)
	add("queued", queue.Depth, 0)

	quality, err := c.Verification.EvidenceQuality(ctx)
	if err != nil {
		return err
	}
	var evidence verification.EvidenceQuality
	for _, q := range quality {
		if q.Method == verification.CrossReference {
			evidence = q
		}
	}
	add("verdicts", evidence.DistinctResults, runs)
	add("of them right", evidence.SupportingCount, right)

	rows, strangers, err := count(ctx, db)
	if err != nil {
		return err
	}
	// An execution, a query, a request, a result and its evidence for each run; a row for each
	// task and each agent; a page, a node and an entry for each document.
	add("rows in ten tables", rows, 5*runs+a.tasks+a.agents+3*len(a.library))
	add("of others", strangers, 0)
	return nil
}

const countSQL = `
select count(*), count(*) filter (where tenant_id is distinct from current_setting('app.current_tenant', true))
from (select tenant_id from registry.agents
      union all select tenant_id from web.contents
      union all select tenant_id from web.traversal_nodes
      union all select tenant_id from knowledge.entries
      union all select tenant_id from knowledge.queries
      union all select tenant_id from orchestrator.tasks
      union all select tenant_id from orchestrator.executions
      union all select tenant_id from verification.requests
      union all select tenant_id from verification.results
      union all select tenant_id from verification.evidence) everything`

// count returns how many rows the tenant of ctx sees, and how many of the rows belong to
// foreign tenants.
func count(ctx context.Context, db *fxdb.DB) (rows, strangers int64, err error) {
	err = db.QueryRow(ctx, countSQL).Scan(&rows, &strangers)
	return rows, strangers, err
}
