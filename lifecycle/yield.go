package lifecycle

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"
)

// settingsOfRoleSQL reads, after a statement, the settings of ALTER ROLE and ALTER DATABASE for
// the session's role and database.
const settingsOfRoleSQL = `;
	select distinct lower(split_part(c, '=', 1))
	from pg_catalog.pg_db_role_setting s, unnest(s.setconfig) c
	where s.setdatabase in (0, (select oid from pg_catalog.pg_database where datname = current_database()))
	  and s.setrole in (0, (select oid from pg_catalog.pg_roles where rolname = session_user))`

// ownSettingsSQL returns the statement that reads the members of Config.Yields, if any.
func (m *Monitor) ownSettingsSQL() string {
	if len(m.cfg.Yields) == 0 {
		return ""
	}
	return settingsOfRoleSQL
}

// readOwnSettings reads the last answer.
func readOwnSettings(conn *pgx.Conn, answers *pgconn.MultiResultReader) (own []string, err error) {
	if answers.NextResult() {
		own, err = pgx.CollectRows(pgx.RowsFromResultReader(conn.TypeMap(), answers.ResultReader()), pgx.RowTo[string])
	}
	return own, cmp.Or(answers.Close(), err)
}

// takeOwnSettings keeps the members of Config.Yields that the role or the database sets. If the
// role may not read the settings, the pool's parameters count.
func (m *Monitor) takeOwnSettings(own []string, err error) error {
	switch {
	case isDenied(err):
		m.log.Warn("the role may not read pg_db_role_setting, so the pool's default limits come before the role's own", zap.Error(err))
	case err != nil:
		return fmt.Errorf("read the settings of the role and the database: %w", err)
	}
	own = slices.DeleteFunc(own, func(name string) bool { return !slices.Contains(m.cfg.Yields, name) })
	slices.Sort(own)
	m.own.Store(&own)
	return nil
}

// Yielded returns the members of Config.Yields that Start found set by the role or the
// database, and returns none before Start.
func (m *Monitor) Yielded() []string {
	if own := m.own.Load(); own != nil {
		return *own
	}
	return nil
}

// yield leaves out the parameters that the server sets.
func (m *Monitor) yield(cc *pgx.ConnConfig) {
	for _, name := range m.Yielded() {
		delete(cc.RuntimeParams, name)
	}
}
