package rls

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/tenant"
)

// catalog holds the server's catalogs. One query reads each kind of object.
type catalog struct {
	session session
	around  surroundings

	memberships []membership

	tables      []*table // all tables of the database
	scoped      []*table // tables whose rows belong to tenants and that the role reaches
	policies    []*rowPolicy
	functions   []*function
	views       []*view
	columns     []columnInfo
	keys        []key
	foreign     []foreignKey
	attachments []attachment
	effects     []*sideEffect

	byOID     map[uint32]*table
	functionX map[uint32]*function
	viewX     map[uint32]*view
	names     namespace
}

type session struct {
	Role          string
	Login         string
	LoginBypasses bool // no policy binds the login
	First         bool // the role is the superuser that initdb made; the server needs this superuser
	LoginFirst    bool // the login is the superuser that initdb made
	Database      string
	Server        string
	Version       int
	Super         bool
	Bypass        bool
	CreateRole    bool
	Replication   bool
	BecomesBypass []string // roles with superuser or BYPASSRLS that the role may become
	ServerAccess  []string
	AllData       []string
	OwnsDatabase  bool
	Creatable     []string // schemas that the role may create in
	Temporary     bool     // the role may create temporary tables
	SearchPath    string
	RowSecurity   bool
	Tenant        string // the value of tenant.TenantSetting before the verification
	Presets       []string
	TimeoutsOff   []string
	BackendPID    uint32
	Application   string // application_name on the server
}

// bypasses reports whether no policy binds the role.
func (s session) bypasses() bool { return s.Super || s.Bypass }

// reach lists the roles that the role may act as. Membership counts without inheritance
// too: SET ROLE is enough. Superusers are left out: role-can-bypass reports them.
const reach = `with reach as (
	select r.oid, r.rolname from pg_roles r, pg_roles me where me.rolname = current_user and
		(r.oid = me.oid or not me.rolsuper and not r.rolsuper and pg_has_role(r.oid, 'MEMBER')))
`

const sessionSQL = reach + `
select me.rolname as role, session_user::text as login, (select l.rolsuper or l.rolbypassrls from pg_roles l where l.rolname = session_user) as login_bypasses,
	current_database()::text as database,
	current_setting('server_version') as server, current_setting('server_version_num')::int as version,
	me.oid = 10 as first, (select l.oid = 10 from pg_roles l where l.rolname = session_user) as login_first,
	me.rolsuper as super, me.rolbypassrls as bypass, me.rolcreaterole as create_role, me.rolreplication as replication,
	array(select r.rolname::text from pg_roles r where (r.rolsuper or r.rolbypassrls) and r.oid <> me.oid
		and not me.rolsuper and pg_has_role(r.oid, 'MEMBER') order by 1) as becomes_bypass,
	array(select r.rolname::text from pg_roles r where r.rolname in ('pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program')
		and not me.rolsuper and pg_has_role(r.oid, 'MEMBER') order by 1) as server_access,
	array(select r.rolname::text from pg_roles r where r.rolname in ('pg_read_all_data', 'pg_write_all_data')
		and not me.rolsuper and pg_has_role(r.oid, 'MEMBER') order by 1) as all_data,
	not me.rolsuper and exists (select from pg_database d where d.datname = current_database() and pg_has_role(d.datdba, 'MEMBER')) as owns_database,
	array(select n.nspname::text from pg_namespace n where n.nspname !~ '^pg_' and exists (select from reach r where has_schema_privilege(r.oid, n.oid, 'CREATE')) order by 1) as creatable,
	exists (select from reach r where has_database_privilege(r.oid, current_database(), 'TEMPORARY')) as temporary,
	current_setting('row_security')::bool as row_security, current_setting('search_path') as search_path,
	coalesce(current_setting($1, true), '') as tenant,
	array(select ` + presetWhere + ` from ` + presetsFrom + `
		where ` + presetsForUs + `
		and exists (select from unnest(s.setconfig) c where lower(split_part(c, '=', 1)) = lower($1) and split_part(c, '=', 2) <> '') order by 1) as presets,
	array(select name from pg_settings where name in ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout')
		and setting = '0' order by 1) as timeouts_off,
	pg_backend_pid()::int8 as backend_pid, current_setting('application_name') as application
from pg_roles me where me.rolname = current_user`

// membership is a role that the role is a direct member of, and a role that the first one leads to.
type membership struct{ Direct, Reached string }

const membershipsSQL = `
select d.rolname::text as direct, r.rolname::text as reached
from pg_auth_members m
join pg_roles me on me.oid = m.member and me.rolname = current_user
join pg_roles d on d.oid = m.roleid
join pg_roles r on r.oid = d.oid or not d.rolsuper and pg_has_role(d.oid, r.oid, 'MEMBER')
order by 1, 2`

func readCatalog(ctx context.Context, tx pgx.Tx, column string, declared []declaration) (*catalog, error) {
	c := &catalog{byOID: make(map[uint32]*table), functionX: make(map[uint32]*function), viewX: make(map[uint32]*view)}
	rows, err := tx.Query(ctx, sessionSQL, tenant.TenantSetting)
	if err != nil {
		return nil, err
	}
	if c.session, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByNameLax[session]); err != nil {
		return nil, fmt.Errorf("read the session: %w", err)
	}
	if err = c.readSurroundings(ctx, tx); err != nil {
		return nil, err
	}
	if c.memberships, err = values[membership](ctx, tx, "memberships", membershipsSQL); err != nil {
		return nil, err
	}
	if c.functions, err = collect[function](ctx, tx, "functions", functionsSQL(c.session.Version)); err != nil {
		return nil, err
	}
	for _, f := range c.functions {
		c.functionX[f.OID] = f
		f.text = readSQL(f.Source)
	}
	c.traceFunctions()
	if c.policies, err = collect[rowPolicy](ctx, tx, "policies", policiesSQL); err != nil {
		return nil, err
	}
	if c.tables, err = readTables(ctx, tx, column, declared); err != nil {
		return nil, err
	}
	if c.foreign, err = values[foreignKey](ctx, tx, "foreign keys", foreignKeysSQL); err != nil {
		return nil, err
	}
	for _, t := range c.tables {
		c.byOID[t.OID] = t
	}
	for _, p := range c.policies {
		p.using, p.check = readSQL(p.Using), readSQL(p.Check)
		if t := c.byOID[p.Table]; t != nil {
			p.table = t
			t.policies = append(t.policies, p)
		}
	}
	if c.views, err = collect[view](ctx, tx, "views", viewsSQL); err != nil {
		return nil, err
	}
	for _, w := range c.views {
		c.viewX[w.OID] = w
	}
	if c.effects, err = collect[sideEffect](ctx, tx, "rules and triggers", effectsSQL); err != nil {
		return nil, err
	}
	c.policies = slices.DeleteFunc(c.policies, func(p *rowPolicy) bool { return p.table == nil })
	if len(declared) == 0 {
		if err = c.inferColumns(ctx, tx); err != nil {
			return nil, err
		}
	}
	c.names = c.namespace()
	c.traceTables()
	c.traceEffects(c.names)
	c.reachThrough()
	c.scope(len(declared) > 0)
	return c, c.readScoped(ctx, tx)
}

// readScoped reads the columns, the indexes and the triggers of the scoped tables.
func (c *catalog) readScoped(ctx context.Context, tx pgx.Tx) (err error) {
	oids := make([]uint32, 0, len(c.scoped))
	for _, t := range c.scoped {
		oids = append(oids, t.OID)
	}
	if c.columns, err = values[columnInfo](ctx, tx, "columns", columnsSQL, oids); err != nil {
		return err
	}
	if c.keys, err = values[key](ctx, tx, "indexes", keysSQL, oids); err != nil {
		return err
	}
	c.attachments, err = values[attachment](ctx, tx, "triggers, rules and publications", attachmentsSQL, oids)
	return err
}

func collect[T any](ctx context.Context, tx pgx.Tx, what, sql string, args ...any) ([]*T, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("read the %s: %w", what, err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowToAddrOfStructByNameLax[T])
	if err != nil {
		return nil, fmt.Errorf("read the %s: %w", what, err)
	}
	return out, nil
}

func values[T any](ctx context.Context, tx pgx.Tx, what, sql string, args ...any) ([]T, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("read the %s: %w", what, err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByNameLax[T])
	if err != nil {
		return nil, fmt.Errorf("read the %s: %w", what, err)
	}
	return out, nil
}
