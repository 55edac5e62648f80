package rls

import (
	"cmp"
	"fmt"
)

// Sharing lets a tenant show rows to other tenants: the owner of the rows writes a grant into a
// table, and the reader of the grant may select the rows, and nothing else.
//
// [Enable] isolates the table of grants too: a tenant writes only grants of its own rows, and
// sees only grants as owner or reader, so no reader can write a grant for itself. The table of
// grants must exist, and its tenant columns must have the type of the shared table's column.
// The application's role needs SELECT on the table of grants:
//
//	create table tenancy.tenant_shares (
//		owner_tenant_id text not null, reader_tenant_id text not null, module text not null,
//		primary key (owner_tenant_id, reader_tenant_id, module)
//	);
//	create index on tenancy.tenant_shares (reader_tenant_id);
type Sharing struct {
	// Name is the table of grants, written like Table.Name.
	Name string
	// Owner and Reader are columns of the table. Default: owner_tenant_id, reader_tenant_id.
	Owner, Reader string
	// Module restricts the sharing to grants with the value in the column "module". Default:
	// every grant counts, and the table needs no column "module".
	Module string
}

// grants is a Sharing with checked and quoted names.
type grants struct {
	name, owner, reader, module, kind string
}

func (s *Sharing) resolve(kind string) (*grants, error) {
	parts, err := splitName(s.Name)
	if err != nil {
		return nil, fmt.Errorf("name %s %w", shown(s.Name), err)
	}
	owner, reader := cmp.Or(s.Owner, "owner_tenant_id"), cmp.Or(s.Reader, "reader_tenant_id")
	for _, column := range []string{owner, reader} {
		if err := checkName(column); err != nil {
			return nil, fmt.Errorf("column %s %w", shown(column), err)
		}
	}
	if owner == reader {
		return nil, fmt.Errorf("owner and reader are the same column %s", shown(owner))
	}
	if s.Module != "" {
		if err := checkName(s.Module); err != nil {
			return nil, fmt.Errorf("module %s %w", shown(s.Module), err)
		}
	}
	return &grants{name: parts.Sanitize(), owner: quote(owner), reader: quote(reader), module: s.Module, kind: kind}, nil
}

// shown is the condition that the owner of a row of t shares the row with the tenant. The
// server makes the array once for a statement, and looks the index up with the array.
func (g *grants) shown(t target) string {
	where := fmt.Sprintf("g.%s = %s", g.reader, currentTenant(g.kind))
	if g.module != "" {
		where += " and g.module = " + literal(g.module)
	}
	return fmt.Sprintf("%s = any (array(select g.%s from %s g where %s))", t.column, g.owner, g.name, where)
}

func (g *grants) protect() []string {
	mine := g.owner + " = " + currentTenant(g.kind)
	return append(forceSecurity(g.name),
		policy(g.name, selectPolicy, fmt.Sprintf("select using (%s or %s = %s)", mine, g.reader, currentTenant(g.kind))),
		policy(g.name, insertPolicy, "insert with check ("+mine+")"),
		policy(g.name, updatePolicy, "update using ("+mine+") with check ("+mine+")"),
		policy(g.name, deletePolicy, "delete using ("+mine+")"),
	)
}
