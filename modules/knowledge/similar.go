package knowledge

import (
	"fmt"
	"strconv"
)

// similarSQL finds the entries nearest to @embedding, and returns the columns of hits.
// candidates is 0 if an index does the search.
func (s storage) similarSQL(where, limit string) string {
	if s.vectors == "" {
		return exactSQL(where, limit)
	}
	distance := "e.embedding operator(" + s.vectors + ".<=>) " + s.param()
	return `
    select e.tenant_id, e.id, 1 - (` + distance + `) as score, 0::bigint as candidates
    from knowledge.entries e
    where ` + where + ` and e.embedding is not null
    order by ` + distance + " limit " + limit
}

// exactSQL compares with every entry. If the entries are too many, exactSQL computes nothing
// and returns the count.
func exactSQL(where, limit string) string {
	return fmt.Sprintf(`
    select c.tenant_id, c.id, c.candidates,
           case when c.candidates <= %[1]d then (
               select sum(v.a::float8 * v.b::float8) / (sqrt(sum(v.a::float8 * v.a::float8)) * @length::float8)
               from unnest(c.embedding, @embedding::real[]) as v(a, b)
           ) end as score
    from (select n.*, count(*) over () as candidates
          from (select e.tenant_id, e.id, e.embedding from knowledge.entries e
                where %[2]s and e.embedding is not null limit %[1]d + 1) n) c
    order by score desc, c.id limit %[3]s`, MaxCandidates, where, limit)
}

// settings make the index return enough entries although policies and filters take rows away
// after the index. An iterative index scan goes on until the entries are enough; an index
// without iterative scans looks at more entries at once.
func (s storage) settings(limit int) []setting {
	switch {
	case s.vectors == "":
		return nil
	case s.iterative:
		return []setting{{"hnsw.iterative_scan", "strict_order"}, {"hnsw.ef_search", strconv.Itoa(min(1000, max(40, limit)))}}
	}
	return []setting{{"hnsw.ef_search", strconv.Itoa(min(1000, max(100, 10*limit)))}}
}
