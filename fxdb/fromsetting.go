package fxdb

import (
	"errors"
	"os"

	"github.com/jackc/pgx/v5/pgconn"
)

// fromSetting is an error of the start about a value, with the settings that hold the value.
type fromSetting struct {
	error
	settings string
}

func (e *fromSetting) Error() string { return e.error.Error() + " (look at " + e.settings + ")" }
func (e *fromSetting) Unwrap() error { return e.error }

// blame names the settings behind a refused login, an unknown database or an address without
// a server.
func (c Config) blame(err error) error {
	var named *fromSetting
	if err == nil || errors.As(err, &named) || !isConnectError(err) {
		return err
	}
	prefix := settingsPrefix(c.pool)
	switch {
	case c.URL != "":
		return &fromSetting{err, prefix + "DATABASE_URL"}
	case c.pool == "" && (os.Getenv("PGHOST") != "" || os.Getenv("PGSERVICE") != ""):
		return &fromSetting{err, "libpq's variables, such as PGHOST and PGSERVICE"}
	}
	settings := prefix + "DB_HOST and " + prefix + "DB_PORT"
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		switch pgErr.Code {
		case "28P01", "28000":
			settings = prefix + "DB_USER and " + prefix + "DB_PASSWORD"
		case "3D000":
			settings = prefix + "DB_NAME"
		default: // the server's own trouble
			return err
		}
	}
	return &fromSetting{err, settings}
}

// isConnectError reports whether no connection could be opened.
func isConnectError(err error) bool {
	var connect *pgconn.ConnectError
	return errors.As(err, &connect)
}
