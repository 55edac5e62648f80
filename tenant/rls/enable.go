package rls

import (
	"fmt"
	"strings"

	"github.com/agentagency/onepool/tenant"
)

// The types of a tenant column.
const (
	Text   = "text"   // text and varchar; the default
	UUID   = "uuid"   // uuid
	BigInt = "bigint" // bigint, integer and smallint
)

// Table is a table whose rows belong to tenants.
type Table struct {
	// Name is the table's name, with or without its schema: "shop.orders". Case counts. Double
	// quotes enclose a part that holds a dot: `"my.schema".orders`.
	Name string
	// Column holds the tenant. Required.
	Column string
	// Type is the column's type: Text, UUID or BigInt. Default: Text.
	Type string
	// Index makes [Enable] create an index on the column. Default: the DDL holds the statement
	// as a comment, because a key led by the column serves as well.
	Index bool
	// Sharing lets a tenant show its rows to other tenants. Default: no sharing.
	Sharing *Sharing
}

// The names of the policies that Enable creates.
const (
	selectPolicy = "tenant_select"
	insertPolicy = "tenant_insert"
	updatePolicy = "tenant_update"
	deletePolicy = "tenant_delete"
	sharedPolicy = "tenant_shared"
)

// Enable returns the DDL that isolates the tables: row-level security, forced for the owner
// too, and a policy each for select, insert, update and delete that compares the tenant column
// with [tenant.TenantSetting]. No row matches in a session without a tenant. The DDL may run
// again. Run the DDL in one transaction, as a migration tool or an Exec without arguments does.
//
// A partition that a role may read directly needs policies of its own: list the partition as
// a table, or grant nothing on the partition.
//
// Enable never panics and never returns half of the DDL: for no table, a bad name or column, an
// unknown type or a table given twice, the DDL only raises an exception (SQLSTATE 22023) that
// names the argument. [CheckTables] reports the same arguments as errors.
func Enable(tables ...Table) string {
	targets, bad := resolve(tables)
	if bad != nil {
		return join(bad)
	}
	var out []string
	protected := make(map[string]bool)
	for _, t := range targets {
		if s := t.sharing; s != nil && !protected[s.name] {
			protected[s.name] = true
			out = append(out, s.protect()...)
		}
		out = append(out, t.protect()...)
	}
	return join(out)
}

// Disable returns the DDL that undoes [Enable]: the DDL drops the policies of Enable and switches
// row-level security off. Then every role with a grant sees every tenant's rows. A table of
// grants (see [Sharing]) keeps its policies, because other tables may need the policies. Bad
// arguments have the same effect as in Enable.
func Disable(tables ...Table) string {
	targets, bad := resolve(tables)
	if bad != nil {
		return join(bad)
	}
	var out []string
	for _, t := range targets {
		out = append(out, t.open()...)
	}
	return join(out)
}

// target is a Table with checked and quoted names.
type target struct {
	name, column, kind string
	bare               string // the table's name without its schema, not quoted
	plain              string // the column's name, not quoted
	index              bool
	sharing            *grants
}

// mine is the condition that a row belongs to the tenant.
func (t target) mine() string { return t.column + " = " + currentTenant(t.kind) }

// currentTenant is the tenant of the transaction as a value of the type, and NULL without a
// tenant. The sub-select makes the server evaluate the setting once for a statement, not for
// every row. A cast of the setting leaves the column's index usable, a cast of the column does
// not. After its first use a setting is the empty string and not NULL: hence nullif.
func currentTenant(kind string) string {
	if kind == Text {
		return fmt.Sprintf("nullif((select current_setting('%s', true)), '')", tenant.TenantSetting)
	}
	return fmt.Sprintf("(select nullif(current_setting('%s', true), '')::%s)", tenant.TenantSetting, kind)
}

func (t target) protect() []string {
	mine := t.mine()
	out := append(forceSecurity(t.name),
		policy(t.name, selectPolicy, "select using ("+mine+")"),
		policy(t.name, insertPolicy, "insert with check ("+mine+")"),
		policy(t.name, updatePolicy, "update using ("+mine+") with check ("+mine+")"),
		policy(t.name, deletePolicy, "delete using ("+mine+")"),
	)
	if t.sharing != nil {
		out = append(out, policy(t.name, sharedPolicy, "select using ("+t.sharing.shown(t)+")"))
	} else {
		out = append(out, fmt.Sprintf("drop policy if exists %s on %s;", sharedPolicy, t.name))
	}
	index := fmt.Sprintf("create index if not exists %s on %s (%s);", t.indexName(), t.name, t.column)
	if !t.index {
		index = "-- the policies need an index or key led by the tenant, such as: " + index
	}
	return append(out, index)
}

func (t target) open() []string {
	var out []string
	for _, p := range []string{selectPolicy, insertPolicy, updatePolicy, deletePolicy, sharedPolicy} {
		out = append(out, fmt.Sprintf("drop policy if exists %s on %s;", p, t.name))
	}
	out = append(out,
		fmt.Sprintf("alter table %s no force row level security;", t.name),
		fmt.Sprintf("alter table %s disable row level security;", t.name))
	if t.index {
		out = append(out, fmt.Sprintf("drop index if exists %s;", t.qualifiedIndexName()))
	}
	return out
}

// indexName is a name within the server's limit.
func (t target) indexName() string {
	const suffix = "_idx"
	name := t.bare + "_" + t.plain
	for len(name) > maxName-len(suffix) {
		r := []rune(name)
		name = string(r[:len(r)-1])
	}
	return quote(name + suffix)
}

// qualifiedIndexName is the index with the table's schema.
func (t target) qualifiedIndexName() string {
	if schema, ok := strings.CutSuffix(t.name, "."+quote(t.bare)); ok {
		return schema + "." + t.indexName()
	}
	return t.indexName()
}

func forceSecurity(table string) []string {
	return []string{
		fmt.Sprintf("alter table %s enable row level security;", table),
		fmt.Sprintf("alter table %s force row level security;", table),
	}
}

// policy replaces a policy. No row is visible between the two statements.
func policy(table, name, clause string) string {
	return fmt.Sprintf("drop policy if exists %s on %s;\ncreate policy %s on %s for %s;", name, table, name, table, clause)
}

func join(statements []string) string { return strings.Join(statements, "\n") + "\n" }
