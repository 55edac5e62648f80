package testkit

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/fxdb"
)

// Plan is the server's plan of a statement.
type Plan struct {
	// Cost is the planner's estimate for the whole statement, in units of seq_page_cost.
	Cost float64
	// Text is the plan as EXPLAIN prints the plan.
	Text string

	t       testing.TB
	sql     string
	scans   []scan
	trees   map[string][]string // a table's name -> the table and its partitions
	generic func() *Plan
}

// scan is a sequential scan that no index of the table can replace.
type scan struct{ table, filter string }

// Explain asks the server for the plan of a statement, as the tenant of ctx and under the
// policies of the restricted role. The plan is the plan for the values in args: see
// [Plan.Generic] for the other plan. Explain never runs the statement. A statement that the
// server can't plan fails the test.
//
// A test's table has few rows, and the planner reads a small table as a whole even if an index
// fits. [Plan.NoSeqScan] looks at a second plan, with enable_seqscan off: the second plan has a
// sequential scan only if no index fits. Cost and Text are of the plan with the server's
// settings.
func Explain(ctx context.Context, t testing.TB, db *fxdb.DB, sql string, args ...any) *Plan {
	t.Helper()
	p := explain(ctx, t, db, sql, func(tx pgx.Tx, options string) (string, error) {
		rows, err := tx.Query(ctx, "explain (verbose, "+options+") "+sql, args...)
		if err != nil {
			return "", err
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		return strings.Join(lines, "\n"), err
	})
	p.generic = func() *Plan { return explainGeneric(ctx, t, db, sql, args) }
	return p
}

// Generic returns the plan for any values of the parameters. The server may use the generic plan
// from the sixth execution of a prepared statement on, unless the statement's context is of
// [fxdb.CustomPlans]. A partial index or a prefix of LIKE, for example, fits a value but no
// parameter.
func (p *Plan) Generic() *Plan {
	p.t.Helper()
	return p.generic()
}

// asker returns what EXPLAIN with the options prints.
type asker func(tx pgx.Tx, options string) (string, error)

// explain fills a Plan.
func explain(ctx context.Context, t testing.TB, db *fxdb.DB, sql string, ask asker) *Plan {
	t.Helper()
	p := &Plan{t: t, sql: sql, trees: make(map[string][]string)}
	p.generic = func() *Plan { return p }
	err := db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) (err error) {
		if p.Text, err = ask(tx, "costs"); err != nil {
			return err
		}
		top, err := planOf(tx, ask)
		if err != nil {
			return err
		}
		p.Cost = top.Cost
		if _, err := tx.Exec(ctx, "select set_config('enable_seqscan', 'off', true)"); err != nil {
			return err
		}
		if top, err = planOf(tx, ask); err != nil {
			return err
		}
		p.scans = top.sequential(nil)
		if p.trees, err = partitions(ctx, tx); err != nil {
			return err
		}
		return errRollBack
	})
	if !isRolledBack(err) {
		t.Fatalf("testkit: Explain: %s: %v", oneLine(sql), err)
	}
	return p
}

// NoSeqScan fails the test if the statement reads any of the tables as a whole because no
// index fits. Name a table with or without the schema. The partitions of a table count as the
// table.
func (p *Plan) NoSeqScan(tables ...string) *Plan {
	p.t.Helper()
	for _, table := range tables {
		parts, ok := p.trees[table]
		if !ok {
			p.t.Errorf("testkit: Explain: the database has no table %s", table)
			continue
		}
		for _, s := range p.scans {
			if slices.Contains(parts, s.table) {
				p.t.Errorf("testkit: Explain: the statement reads %s as a whole, and no index fits%s: %s\n%s", s.table, s.why(), oneLine(p.sql), p.Text)
				break
			}
		}
	}
	return p
}

func (s scan) why() string {
	if s.filter == "" {
		return ""
	}
	return " the filter " + s.filter
}

// CostAtMost fails the test if the planner's estimate is above the bound. The estimate follows
// the table's rows and statistics: fill the table and run ANALYZE first.
func (p *Plan) CostAtMost(bound float64) *Plan {
	p.t.Helper()
	if p.Cost > bound {
		p.t.Errorf("testkit: Explain: the cost of the plan is %.2f, and the bound is %.2f: %s\n%s", p.Cost, bound, oneLine(p.sql), p.Text)
	}
	return p
}

// node is a node of EXPLAIN's JSON.
type node struct {
	Type   string  `json:"Node Type"`
	Schema string  `json:"Schema"`
	Table  string  `json:"Relation Name"`
	Filter string  `json:"Filter"`
	Cost   float64 `json:"Total Cost"`
	Plans  []node  `json:"Plans"`
}

func (n node) sequential(found []scan) []scan {
	if n.Type == "Seq Scan" {
		found = append(found, scan{n.Schema + "." + n.Table, n.Filter})
	}
	for _, child := range n.Plans {
		found = child.sequential(found)
	}
	return found
}

func planOf(tx pgx.Tx, ask asker) (node, error) {
	text, err := ask(tx, "costs, format json")
	if err != nil {
		return node{}, err
	}
	var plans []struct{ Plan node }
	if err := json.Unmarshal([]byte(text), &plans); err != nil || len(plans) == 0 {
		return node{}, fmt.Errorf("the plan is no JSON as expected: %w", err)
	}
	return plans[0].Plan, nil
}

// partitions maps each table's name, with and without the schema, to the tables with the rows.
func partitions(ctx context.Context, tx pgx.Tx) (map[string][]string, error) {
	rows, err := tx.Query(ctx, `
		select c.relname, n.nspname || '.' || c.relname, array(
			select pn.nspname || '.' || p.relname from pg_catalog.pg_partition_tree(c.oid) t
			join pg_catalog.pg_class p on p.oid = t.relid join pg_catalog.pg_namespace pn on pn.oid = p.relnamespace)
		from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
		where c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\_%'`)
	if err != nil {
		return nil, err
	}
	trees := make(map[string][]string)
	var full, short string
	var parts []string
	_, err = pgx.ForEachRow(rows, []any{&short, &full, &parts}, func() error {
		parts = append(parts, full) // the tree of a plain table is empty
		trees[full] = parts
		trees[short] = append(trees[short], parts...)
		return nil
	})
	return trees, err
}
