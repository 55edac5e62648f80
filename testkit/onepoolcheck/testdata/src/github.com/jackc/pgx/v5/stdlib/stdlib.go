// Package stdlib stands in for the real one in the cases of the rules.
package stdlib

import (
	"database/sql"
	"database/sql/driver"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

type OptionOpenDB func(*connector)

type connector struct{}

func OpenDB(config pgx.ConnConfig, opts ...OptionOpenDB) *sql.DB                { return nil }
func OpenDBFromPool(pool *pgxpool.Pool, opts ...OptionOpenDB) *sql.DB           { return nil }
func GetConnector(config pgx.ConnConfig, opts ...OptionOpenDB) driver.Connector { return nil }
