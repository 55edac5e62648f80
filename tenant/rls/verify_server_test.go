package rls_test

import (
	"context"
	"fmt"
	"hash/crc32"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant/rls"
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
` + rls.Enable(rls.Table{Name: "shop.orders", Column: "tenant_id"}, rls.Table{Name: "shop.lines", Column: "tenant_id"})

// fixture is what one case breaks: a database with roles that the case may spoil.
type fixture interface {
	// exec runs statements as the owner, unless they reset the role. $APP, $OWNER and
	// $DB are names.
	exec(t *testing.T, ddl ...string)
	// name replaces $APP, $OWNER and $DB in a name.
	name(name string) string
	// verify verifies as the case's role.
	verify(t *testing.T, opts ...rls.VerifyOption) rls.Report
}

// newFixture returns a transaction of the case's own. In the soak size one case in eight
// has a database and connections of the case's own instead, which cost seconds.
func newFixture(t *testing.T) fixture {
	t.Helper()
	if size.Soak() && crc32.ChecksumIEEE([]byte(t.Name()))%8 == 0 {
		return newDatabase(t, shop)
	}
	return newSharedFixture(t)
}

// patience bounds every wait; a test fails by it only if something hangs.
const patience = time.Minute

// stopSandbox stops the server of sandbox.
var stopSandbox = func(context.Context) error { return nil }

// sandbox is a server for the whole package. testkit's server is shared with others,
// whose roles no test may spoil.
var sandbox = sync.OnceValues(func() (*devdb.Server, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := devdb.Start(ctx)
	if err == nil {
		stopSandbox = s.Stop
	}
	return s, err
})

func TestMain(m *testing.M) {
	code := m.Run()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	if err := stopSandbox(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	cancel()
	os.Exit(code)
}

// testDatabase is a database and a role of one test's own.
type testDatabase struct {
	server        *devdb.Server
	database, app string
	names         *strings.Replacer
}

var testDatabases atomic.Int64

// newDatabase makes both.
func newDatabase(t *testing.T, ddl ...string) *testDatabase {
	t.Helper()
	s, err := sandbox()
	require.NoError(t, err)
	n := testDatabases.Add(1)
	p := &testDatabase{server: s, database: fmt.Sprintf("case_%d", n), app: fmt.Sprintf("app_%d", n)}
	p.names = strings.NewReplacer("$APP", p.app, "$OWNER", devdb.RoleOwner, "$DB", p.database)
	admin, err := pgx.Connect(t.Context(), s.URL())
	require.NoError(t, err)
	defer admin.Close(context.Background())
	for _, sql := range []string{"create role $APP login", "create database $DB owner $OWNER"} {
		_, err := admin.Exec(t.Context(), p.names.Replace(sql))
		require.NoError(t, err)
	}
	p.exec(t, ddl...)
	return p
}

func (p *testDatabase) name(name string) string { return p.names.Replace(name) }

func (p *testDatabase) exec(t *testing.T, ddl ...string) {
	t.Helper()
	c := p.connect(t, "postgres")
	defer c.Close(context.Background())
	for _, sql := range ddl {
		sql = p.names.Replace("set role $OWNER;\n" + sql)
		_, err := c.Exec(t.Context(), sql)
		require.NoError(t, err, sql)
	}
}

// dial returns a connection that outlives the test.
func (p *testDatabase) dial(t *testing.T, role string) *pgx.Conn {
	t.Helper()
	cfg, err := pgx.ParseConfig(p.server.DatabaseURL(role, p.database))
	require.NoError(t, err)
	for _, name := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"} {
		cfg.RuntimeParams[name] = "60s"
	}
	c, err := pgx.ConnectConfig(t.Context(), cfg)
	require.NoError(t, err)
	return c
}

func (p *testDatabase) connect(t *testing.T, role string) *pgx.Conn {
	t.Helper()
	c := p.dial(t, role)
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func (p *testDatabase) verify(t *testing.T, opts ...rls.VerifyOption) rls.Report {
	t.Helper()
	r, err := rls.Verify(t.Context(), p.connect(t, p.app), opts...)
	require.NoError(t, err)
	return r
}

func codes(r rls.Report) map[string]rls.Finding {
	out := make(map[string]rls.Finding)
	for _, f := range r.Findings {
		if old, ok := out[f.Code]; !ok || old.Level > f.Level { // "error" < "note" < "warn"
			out[f.Code] = f
		}
	}
	return out
}
