package rls

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// surroundings are the role's rights outside of the tables, and the presets of its sessions.
type surroundings struct {
	ServerFunctions []string // functions that reach beyond the database
	ForeignServers  []string // servers that the role has a user mapping for
	Statistics      []string // roles that see the statements of all roles
	LargeObjects    bool     // the role may read large objects
	CreateSchemas   bool
	Statements      []statementStatistics
	Defaults        []publicDefault
	Parameters      []parameterGrant
	Paths           []presetPath
}

// publicDefault is a grant to PUBLIC of future tables.
type publicDefault struct{ Where, For, Privileges string }

// statementStatistics is a view or function of an extension that shows texts of statements.
type statementStatistics struct{ Object, Kind string }

// parameterGrant is a parameter of the server that the role may set.
type parameterGrant struct {
	Name       string
	Privileges string
	Grantees   []string
}

// presetPath is the search_path of new sessions of the role, or of the database.
type presetPath struct{ Where, Value string }

const surroundingsSQL = reach + `
select
	array(select p.oid::regprocedure::text from pg_proc p where not me.rolsuper
		and p.proname in ('dblink_connect_u', 'pg_read_file', 'pg_read_binary_file', 'pg_stat_file', 'pg_ls_dir', 'lo_import', 'lo_export', 'pg_file_write')
		and exists (select from reach r where has_function_privilege(r.oid, p.oid, 'EXECUTE')) order by 1) as server_functions,
	array(select distinct m.srvname::text from pg_user_mappings m where not me.rolsuper and (m.umuser = 0 or m.umuser in (select oid from reach))
		and exists (select from reach r where has_server_privilege(r.oid, m.srvid, 'USAGE')) order by 1) as foreign_servers,
	array(select r.rolname::text from reach r where r.rolname in ('pg_monitor', 'pg_read_all_stats') order by 1) as statistics,
	not me.rolsuper and exists (select from pg_largeobject_metadata o where o.lomowner in (select oid from reach) or exists (select from aclexplode(o.lomacl) a
		where a.privilege_type = 'SELECT' and (a.grantee = 0 or a.grantee in (select oid from reach)))) as large_objects,
	not me.rolsuper and exists (select from reach r where has_database_privilege(r.oid, current_database(), 'CREATE')) as create_schemas
from pg_roles me where me.rolname = current_user`

const publicDefaultsSQL = `
select coalesce(n.nspname, '')::text as where, o.rolname::text as for, string_agg(a.privilege_type, ', ' order by a.privilege_type) as privileges
from pg_default_acl d join pg_roles o on o.oid = d.defaclrole left join pg_namespace n on n.oid = d.defaclnamespace, aclexplode(d.defaclacl) a
where d.defaclobjtype = 'r' and a.grantee = 0
group by 1, 2 order by 1, 2`

// statementsSQL names the views before the functions behind the views.
const statementsSQL = reach + `, shown as (
	select d.classid, d.objid from pg_extension x join pg_depend d on d.refclassid = 'pg_extension'::regclass and d.refobjid = x.oid and d.deptype = 'e'
	where x.extname in ('pg_stat_statements', 'pg_stat_monitor', 'pg_qualstats', 'pg_store_plans'))
select n.nspname || '.' || c.relname as object, 'table' as kind
from shown s join pg_class c on s.classid = 'pg_class'::regclass and c.oid = s.objid join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'v' and c.relname !~ '_info$' and exists (select from reach r where has_schema_privilege(r.oid, n.oid, 'USAGE'))
	and exists (select from reach r where has_any_column_privilege(r.oid, c.oid, 'SELECT'))
union all
select n.nspname || '.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')', 'function'
from shown s join pg_proc p on s.classid = 'pg_proc'::regclass and p.oid = s.objid join pg_namespace n on n.oid = p.pronamespace
where p.proretset and p.proname !~ '_info$' and exists (select from reach r where has_schema_privilege(r.oid, n.oid, 'USAGE'))
	and exists (select from reach r where has_function_privilege(r.oid, p.oid, 'EXECUTE'))
order by 2 desc, 1`

// parametersSQL needs PostgreSQL 15.
const parametersSQL = reach + `
select p.parname as name, string_agg(distinct a.privilege_type, ', ') as privileges,
	array_agg(distinct coalesce(g.rolname, 'public')::text) as grantees
from pg_parameter_acl p, aclexplode(p.paracl) a left join reach g on g.oid = a.grantee
where (a.grantee = 0 or g.oid is not null) and not (select me.rolsuper from pg_roles me where me.rolname = current_user)
group by 1 order by 1`

const presetPathsSQL = `
select ` + presetWhere + ` as where, substr(c, length('search_path=') + 1) as value
from ` + presetsFrom + `, unnest(s.setconfig) c
where ` + presetsForUs + ` and lower(c) like 'search\_path=%' order by 1`

// presetsFrom are the settings of ALTER ROLE and ALTER DATABASE; presetsForUs chooses the ones
// of the session.
const (
	presetWhere = `case when s.setrole = 0 and s.setdatabase = 0 then 'all roles' when s.setrole = 0 then 'database ' || d.datname when s.setdatabase = 0 then 'role ' || u.rolname
			else 'role ' || u.rolname || ' in database ' || d.datname end`
	presetsFrom  = `pg_db_role_setting s left join pg_database d on d.oid = s.setdatabase left join pg_roles u on u.oid = s.setrole`
	presetsForUs = `(s.setdatabase = 0 or d.datname = current_database()) and (s.setrole = 0 or u.rolname in (session_user, current_user))`
)

func (c *catalog) readSurroundings(ctx context.Context, tx pgx.Tx) error {
	found, err := values[surroundings](ctx, tx, "rights of the role", surroundingsSQL)
	if err != nil {
		return err
	}
	if len(found) != 1 {
		return fmt.Errorf("read the rights of the role: %d rows", len(found))
	}
	c.around = found[0]
	if c.around.Defaults, err = values[publicDefault](ctx, tx, "default privileges", publicDefaultsSQL); err != nil {
		return err
	}
	if c.around.Statements, err = values[statementStatistics](ctx, tx, "statistics of statements", statementsSQL); err != nil {
		return err
	}
	if c.session.Version >= 150000 {
		if c.around.Parameters, err = values[parameterGrant](ctx, tx, "parameters", parametersSQL); err != nil {
			return err
		}
	}
	c.around.Paths, err = values[presetPath](ctx, tx, "preset search_path", presetPathsSQL)
	return err
}
