package migrate

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// protect revokes every right but SELECT on the tables of [Schema] from all roles but the owner,
// if the session's role has the owner's rights. The owner's default privileges usually let the
// application's role write to all tables: a deleted version would run its migration again.
// protect reports whether the schema exists. Without a right to revoke, protect takes a single
// round trip.
func protect(ctx context.Context, conn *pgx.Conn) (exists bool, err error) {
	var revokes []string
	err = conn.QueryRow(ctx, `select to_regnamespace($1) is not null, array(
		select format('revoke %s on %s %s from %s', string_agg(distinct a.privilege_type, ', '),
			case c.relkind when 'S' then 'sequence' else 'table' end, c.oid::regclass,
			case a.grantee when 0 then 'public' else a.grantee::regrole::text end)
		from pg_catalog.pg_class c, aclexplode(c.relacl) a
		where c.relnamespace = to_regnamespace($1) and c.relkind in ('r', 'S') and a.privilege_type <> 'SELECT'
			and a.grantee <> c.relowner and a.grantor = c.relowner and pg_has_role(c.relowner, 'USAGE')
		group by c.oid, c.relkind, a.grantee)`, Schema).Scan(&exists, &revokes)
	if err != nil {
		return false, fmt.Errorf("read the rights on schema %s: %w", Schema, err)
	}
	for _, revoke := range revokes {
		if _, err := conn.Exec(ctx, revoke); err != nil {
			return exists, fmt.Errorf("%s: %w", revoke, err)
		}
	}
	return exists, nil
}

// schemaFailure says which grant the role of conn lacks, if the server refuses the schema.
func schemaFailure(ctx context.Context, conn *pgx.Conn, err error) error {
	err = fmt.Errorf("create schema %s for the version tables: %w", Schema, err)
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) || pgErr.Code != "42501" {
		return err
	}
	var grant string
	if conn.QueryRow(ctx, "select format('grant create on database %I to %I', current_database(), current_user)").Scan(&grant) != nil {
		return err
	}
	return fmt.Errorf("%w: run \"%s\", or let DB_MIGRATE_URL name a role with this right", err, grant)
}
