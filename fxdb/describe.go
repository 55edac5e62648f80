package fxdb

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/agentagency/onepool/internal/admission"
	"github.com/agentagency/onepool/internal/migrate"
)

// Description shows how an application uses its pool: the clients with their limits, the pools,
// the migrations, the hooks and the tracers. String returns text, and DOT returns a graph. A
// Description holds no secret.
type Description struct {
	database    string // host, port and name
	application string // application_name
	pools       []describedPool
	clients     []describedClient
	parts
}

// describedPool is the shared pool, or a pool of DB_DEDICATED.
type describedPool struct {
	name     string // "shared", or the client's
	min, max int    // connections
}

// describedClient is one client of a pool.
type describedClient struct {
	name          string
	pool          string // describedPool.name
	limits        admission.Limits
	requireTenant bool
	timeouts      ServerTimeouts // 0: the pool's
}

const sharedPool = "shared"

// Describe returns the shape of the pool that db uses: clients with their limits, pools,
// migrations, hooks and tracers, as the application has named the parts until now. Print
// the description after the start, or draw its DOT.
func Describe(db *DB) Description {
	c := db.core
	d := Description{database: c.monitor.Database(), application: c.application, parts: c.parts}
	names := []string{sharedPool}
	for _, member := range c.cfg.Dedicated {
		name, _, _ := dedicated(member) // validate has read the member
		names = append(names, name)
	}
	for i, m := range c.monitors() {
		pc := m.Pool().Config()
		d.pools = append(d.pools, describedPool{names[i], int(pc.MinConns), int(pc.MaxConns)})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cl := range c.clients {
		var limits admission.Limits
		if cl.permits != nil {
			limits = cl.permits.Limits()
		}
		pool := sharedPool
		for name, m := range c.dedicated {
			if m == cl.monitor {
				pool = name
			}
		}
		d.clients = append(d.clients, describedClient{cl.name, pool, limits, cl.requireTenant.Load(), cl.timeouts})
	}
	return d
}

// parts are the names of an application's contributions to a pool.
type parts struct {
	sources []string // of migrations, in the order in which the start applies them
	hooks   []string // in their order
	tracers []string // types, sorted
}

func partsOf(o options, sources []migrate.Source) (p parts) {
	for _, s := range append(slices.Clone(o.applied), sources...) {
		p.sources = append(p.sources, s.Name)
	}
	for _, h := range inOrder(o.hooks) {
		p.hooks = append(p.hooks, h.Name)
	}
	for _, t := range o.tracers {
		p.tracers = append(p.tracers, fmt.Sprintf("%T", t))
	}
	slices.Sort(p.tracers) // fx shuffles a value group
	return p
}

// words returns the client's limits.
func (c describedClient) words() (all []string) {
	for _, l := range []struct {
		n    int
		text string
	}{{c.limits.Max, "at most %d connections"}, {c.limits.Reserve, "%d reserved"}, {c.limits.Weight, "weight %d"}} {
		if l.n > 0 {
			all = append(all, fmt.Sprintf(l.text, l.n))
		}
	}
	if c.requireTenant {
		all = append(all, "requires a tenant")
	}
	for _, t := range []struct {
		d    time.Duration
		name string
	}{{c.timeouts.Statement, "statement"}, {c.timeouts.Lock, "lock"}, {c.timeouts.IdleInTransaction, "idle in transaction"}} {
		switch {
		case t.d > 0:
			all = append(all, t.name+" timeout "+t.d.String())
		case t.d < 0:
			all = append(all, "no "+t.name+" timeout")
		}
	}
	return all
}

func (p describedPool) size() string { return fmt.Sprintf("%d to %d connections", p.min, p.max) }

// String returns the description as text, a line for each part.
func (d Description) String() string {
	var b strings.Builder
	line := func(kind, name string, more ...string) {
		fmt.Fprintf(&b, "%-10s %s", kind, name)
		if len(more) > 0 {
			b.WriteString(": " + strings.Join(more, ", "))
		}
		b.WriteByte('\n')
	}
	line("database", d.database, "application "+d.application)
	for _, p := range d.pools {
		line("pool", p.name, p.size())
	}
	for _, c := range d.clients {
		line("client", c.name, append([]string{"pool " + c.pool}, c.words()...)...)
	}
	for _, list := range []struct {
		kind  string
		names []string
	}{{"migrations", d.sources}, {"hook", d.hooks}, {"tracer", d.tracers}} {
		for _, name := range list.names {
			line(list.kind, name)
		}
	}
	return b.String()
}

// DOT returns the description as a graph for Graphviz.
func (d Description) DOT() string {
	var b strings.Builder
	b.WriteString("digraph onepool {\n\trankdir=LR;\n\tnode [shape=box];\n")
	node := func(kind, name string, more ...string) string {
		id := kind + " " + name
		fmt.Fprintf(&b, "\t%s [label=%s];\n", quoteDOT(id), quoteDOT(strings.Join(append([]string{id}, more...), "\n")))
		return id
	}
	edge := func(from, to, style string) {
		fmt.Fprintf(&b, "\t%s -> %s [style=%s];\n", quoteDOT(from), quoteDOT(to), style)
	}
	database := node("database", d.database, d.application)
	for _, p := range d.pools {
		pool := node("pool", p.name, p.size())
		edge(pool, database, "solid")
		for _, name := range d.hooks {
			edge("hook "+name, pool, "dotted")
		}
		for _, name := range d.tracers {
			edge("tracer "+name, pool, "dotted")
		}
	}
	for _, c := range d.clients {
		edge(node("client", c.name, c.words()...), "pool "+c.pool, "solid")
	}
	for _, name := range d.sources {
		edge(node("migrations", name), database, "dashed")
	}
	b.WriteString("}\n")
	return b.String()
}

// quoteDOT quotes a name. DOT knows the escapes of a quote, a backslash and a line break.
func quoteDOT(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}
