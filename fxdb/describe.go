package fxdb

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/agentagency/onepool/internal/admission"
	"github.com/agentagency/onepool/internal/migrate"
)

// Description shows how an application uses its pool: the clients, and their limits. A
// Description holds no secret.
type Description struct {
	Database    string // host, port and name
	Application string // application_name
	Pools       []PoolDescription
	Clients     []ClientDescription
	Migrations  []string // sources, in the order in which they are applied
	OnConnect   []string // hooks, in their order
	Tracers     []string // types, sorted
}

// PoolDescription is the shared pool, or a pool of DB_DEDICATED.
type PoolDescription struct {
	Name     string // "shared", or the client's
	Min, Max int    // connections
}

// ClientDescription is one client of a pool.
type ClientDescription struct {
	Name                      string
	Pool                      string // PoolDescription.Name
	MaxConns, Reserve, Weight int    // 0: no limit, none, the default
	RequireTenant             bool
	Timeouts                  ServerTimeouts // 0: the pool's
}

const sharedPool = "shared"

// Describe returns the shape of the pool that db uses: clients with their limits, pools,
// migrations, hooks and tracers, as the application has named the parts until now. Print
// the description after the start, or draw its DOT.
func Describe(db *DB) Description {
	c := db.core
	d := Description{
		Database: c.monitor.Database(), Application: c.application,
		Migrations: c.parts.sources, OnConnect: c.parts.hooks, Tracers: c.parts.tracers,
	}
	names := []string{sharedPool}
	for _, member := range c.cfg.Dedicated {
		name, _, _ := dedicated(member) // validate has read the member
		names = append(names, name)
	}
	for i, m := range c.monitors() {
		pc := m.Pool().Config()
		d.Pools = append(d.Pools, PoolDescription{names[i], int(pc.MinConns), int(pc.MaxConns)})
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
		d.Clients = append(d.Clients, ClientDescription{
			Name: cl.name, Pool: pool, MaxConns: limits.Max, Reserve: limits.Reserve, Weight: limits.Weight,
			RequireTenant: cl.requireTenant.Load(), Timeouts: cl.limits,
		})
	}
	return d
}

// parts are the names of an application's contributions to a pool.
type parts struct{ sources, hooks, tracers []string }

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

// limits returns the client's limits, in words.
func (c ClientDescription) limits() (all []string) {
	for _, l := range []struct {
		n    int
		text string
	}{{c.MaxConns, "at most %d connections"}, {c.Reserve, "%d reserved"}, {c.Weight, "weight %d"}} {
		if l.n > 0 {
			all = append(all, fmt.Sprintf(l.text, l.n))
		}
	}
	if c.RequireTenant {
		all = append(all, "requires a tenant")
	}
	for _, t := range []struct {
		d    time.Duration
		name string
	}{{c.Timeouts.Statement, "statement"}, {c.Timeouts.Lock, "lock"}, {c.Timeouts.IdleInTransaction, "idle in transaction"}} {
		switch {
		case t.d > 0:
			all = append(all, t.name+" timeout "+t.d.String())
		case t.d < 0:
			all = append(all, "no "+t.name+" timeout")
		}
	}
	return all
}

func (p PoolDescription) size() string { return fmt.Sprintf("%d to %d connections", p.Min, p.Max) }

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
	line("database", d.Database, "application "+d.Application)
	for _, p := range d.Pools {
		line("pool", p.Name, p.size())
	}
	for _, c := range d.Clients {
		line("client", c.Name, append([]string{"pool " + c.Pool}, c.limits()...)...)
	}
	for _, list := range []struct {
		kind  string
		names []string
	}{{"migrations", d.Migrations}, {"hook", d.OnConnect}, {"tracer", d.Tracers}} {
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
	database := node("database", d.Database, d.Application)
	for _, p := range d.Pools {
		pool := node("pool", p.Name, p.size())
		edge(pool, database, "solid")
		for _, name := range d.OnConnect {
			edge("hook "+name, pool, "dotted")
		}
		for _, name := range d.Tracers {
			edge("tracer "+name, pool, "dotted")
		}
	}
	for _, c := range d.Clients {
		edge(node("client", c.Name, c.limits()...), "pool "+c.Pool, "solid")
	}
	for _, name := range d.Migrations {
		edge(node("migrations", name), database, "dashed")
	}
	b.WriteString("}\n")
	return b.String()
}

// quoteDOT quotes a name. DOT knows the escapes of a quote, a backslash and a line break.
func quoteDOT(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}
