package tenant_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/internal/pgfault"
	"github.com/agentagency/onepool/tenant"
)

// shop is a sound schema: $OWNER owns it and $APP works in it.
var shop = `
create schema shop;
grant usage on schema shop to $APP;
create table shop.orders (
	tenant_id text not null default nullif(current_setting('app.current_tenant', true), ''),
	id bigint not null, ref text, paid boolean not null default false, total numeric,
	primary key (tenant_id, id)
);
create table shop.lines (
	tenant_id text not null, order_id bigint not null, line bigint generated always as identity, note text,
	primary key (tenant_id, order_id, line),
	foreign key (tenant_id, order_id) references shop.orders (tenant_id, id)
);
grant select, insert, update, delete on shop.orders, shop.lines to $APP;
insert into shop.orders (tenant_id, id) values ('acme', 1), ('globex', 1);
insert into shop.lines (tenant_id, order_id) values ('acme', 1);
` + tenant.Enable(tenant.Table{Name: "shop.orders", Column: "tenant_id"}, tenant.Table{Name: "shop.lines", Column: "tenant_id"})

// sandbox is a server whose roles a test may spoil.
type sandbox struct {
	*pgfault.Server
	cases atomic.Int64
}

// place is a database and a role of one case's own.
type place struct {
	s             *sandbox
	database, app string
}

func newSandbox(t *testing.T) *sandbox { return &sandbox{Server: pgfault.Start(t)} }

// place makes both. The statements run as the owner, unless they reset the role.
func (s *sandbox) place(t *testing.T, ddl ...string) *place {
	t.Helper()
	n := s.cases.Add(1)
	p := &place{s: s, database: fmt.Sprintf("case_%d", n), app: fmt.Sprintf("app_%d", n)}
	s.Admin(t, func(c *pgx.Conn) {
		for _, sql := range []string{
			"create role " + p.app + " login",
			"create database " + p.database + " owner " + devdb.Owner,
		} {
			_, err := c.Exec(t.Context(), sql)
			require.NoError(t, err)
		}
	})
	p.exec(t, ddl...)
	return p
}

// exec runs statements as the owner. $APP, $OWNER and $DB are names.
func (p *place) exec(t *testing.T, ddl ...string) {
	t.Helper()
	c := p.connect(t, "postgres")
	defer c.Close(context.Background())
	for _, sql := range ddl {
		sql = strings.NewReplacer("$APP", p.app, "$OWNER", devdb.Owner, "$DB", p.database).Replace(sql)
		_, err := c.Exec(t.Context(), "set role "+devdb.Owner+";\n"+sql)
		require.NoError(t, err, sql)
	}
}

func (p *place) connect(t *testing.T, role string) *pgx.Conn {
	t.Helper()
	cfg, err := pgx.ParseConfig(p.s.DatabaseURL(role, p.database))
	require.NoError(t, err)
	for _, name := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"} {
		cfg.RuntimeParams[name] = "60s"
	}
	c, err := pgx.ConnectConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

// verify verifies as the case's role.
func (p *place) verify(t *testing.T, opts ...tenant.VerifyOption) tenant.Report {
	t.Helper()
	r, err := tenant.Verify(t.Context(), p.connect(t, p.app), opts...)
	require.NoError(t, err)
	return r
}

func codes(r tenant.Report) map[string]tenant.Finding {
	out := make(map[string]tenant.Finding)
	for _, f := range r.Findings {
		if old, ok := out[f.Code]; !ok || old.Level > f.Level { // "error" < "note" < "warn"
			out[f.Code] = f
		}
	}
	return out
}
