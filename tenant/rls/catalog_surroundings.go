package rls

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// surroundings are what the role may do beside the tables.
type surroundings struct {
	ServerFunctions []string // that reach beyond the database
	ForeignServers  []string // that it may use as somebody
	Statistics      []string // roles that show everybody's statements
	LargeObjects    bool     // it may read some
	CreateSchemas   bool
	Defaults        []publicDefault
}

// publicDefault is a grant to PUBLIC of tables yet to be made.
type publicDefault struct{ Where, For, Privileges string }

const surroundingsSQL = reach + `
select
	array(select p.oid::regprocedure::text from pg_proc p where not me.rolsuper and exists (select from reach r where has_function_privilege(r.oid, p.oid, 'EXECUTE'))
		and p.proname in ('dblink_connect_u', 'pg_read_file', 'pg_read_binary_file', 'pg_stat_file', 'pg_ls_dir', 'lo_import', 'lo_export', 'pg_file_write') order by 1) as server_functions,
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

func (c *catalog) readSurroundings(ctx context.Context, tx pgx.Tx) error {
	found, err := values[surroundings](ctx, tx, "surroundings", surroundingsSQL)
	if err != nil {
		return err
	}
	c.around = found[0]
	c.around.Defaults, err = values[publicDefault](ctx, tx, "default privileges", publicDefaultsSQL)
	return err
}
