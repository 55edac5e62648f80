package knowledge

import (
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
)

// similarSQL finds the entries nearest to @embedding, and returns the columns of hits.
// candidates is 0 if an index does the search.
//
// The index has the entries of all tenants, and the policy takes foreign entries away after the
// index. An index scan for a tenant with few entries would end before the scan has met the
// tenant's entries. So few entries, by the counts, are compared one by one: "+ 0" keeps that
// search from the index. Of the two searches the server runs a single search.
func (s storage) similarSQL(where, limit string) string {
	if s.vectors == "" {
		return exactSQL(where, limit)
	}
	distance := "e.embedding operator(" + s.vectors + ".<=>) " + s.param()
	one := func(condition, order string) string {
		return fmt.Sprintf(`
    (select e.tenant_id, e.id, 1 - (%[1]s) as score, 0::bigint as candidates
    from knowledge.entries e
    where %[2]s and e.embedding is not null and (%[3]s) %[4]s %[5]d
    order by %[6]s limit %[7]s)`, distance, where, countSQL, condition, MaxCandidates, order, limit)
	}
	return one("<=", "("+distance+") + 0") + `
    union all` + one(">", distance)
}

// countSQL counts the active entries of the kinds and sources, with and without an embedding.
const countSQL = `select coalesce(sum(active), 0) from knowledge.entry_counts
        where source = any(case when cardinality(@sources::text[]) = 0 then '{""}' else @sources::text[] end)
          and kind = any(case when cardinality(@kinds::text[]) = 0 then '{""}' else @kinds::text[] end)`

// exactSQL compares with every entry. If the entries are too many, exactSQL computes nothing
// and returns the count. The products are of a real and a double, and so are the sums.
func exactSQL(where, limit string) string {
	return fmt.Sprintf(`
    select c.tenant_id, c.id, c.candidates,
           case when c.candidates <= %[1]d then (
               select sum(p.a * p.b) / (c.embedding_length * @length::float8)
               from (select unnest(c.embedding) as a, unnest((select @embedding::real[]::float8[])) as b) p
           ) end as score
    from (select n.*, count(*) over () as candidates
          from (select e.tenant_id, e.id, e.embedding, e.embedding_length from knowledge.entries e
                where %[2]s and e.embedding is not null limit %[1]d + 1) n) c
    order by score desc, c.id limit %[3]s`, MaxCandidates, where, limit)
}

// settings make the index return enough entries although policies and filters take rows away
// after the index. An iterative index scan goes on until the entries are enough; an index
// without iterative scans looks at more entries at once. A relaxed order loses fewer entries, and
// the statement sorts the entries by their score. The planner expects few entries of a
// tenant, whatever the tenant, and would sort all entries of a large tenant: enable_sort is off.
// The cost of a sort that is off would have the server compile the statement: jit is off too.
//
// The settings of the planner end with the search, for the statements that follow in a joined
// transaction.
func (s storage) settings(args pgx.NamedArgs, limit int) settings {
	if s.vectors == "" {
		return settings{}
	}
	all := settings{
		before: []string{set("enable_sort", "'off'"), set("jit", "'off'"), set("hnsw.ef_search", "@ef_search::text")},
		after:  []string{"set local enable_sort to default", "set local jit to default"},
	}
	if s.iterative {
		all.before = append(all.before, set("hnsw.iterative_scan", "'relaxed_order'"))
	} else {
		limit *= 10
	}
	args["ef_search"] = strconv.Itoa(min(1000, max(100, limit)))
	return all
}
