package fxdb

import (
	"errors"
	"os"

	"github.com/jackc/pgx/v5/pgconn"
)

// settingError is an error of the start about a value, with the settings that hold the value.
type settingError struct {
	error
	settings string
}

func (e *settingError) Error() string { return e.error.Error() + " (look at " + e.settings + ")" }
func (e *settingError) Unwrap() error { return e.error }

// blame names the settings that may have failed a connect.
func (c Config) blame(err error) error {
	var named *settingError
	settings := settingsToBlame(err)
	switch {
	case settings == "" || errors.As(err, &named):
		return err
	case c.URL != "":
		settings = "DATABASE_URL"
	case c.pool == "" && (os.Getenv("PGHOST") != "" || os.Getenv("PGSERVICE") != ""):
		settings = "libpq's variables, such as PGHOST and PGSERVICE"
	}
	return &settingError{err, settingName.ReplaceAllString(settings, settingsPrefix(c.pool)+"$1")}
}

// settingsToBlame returns the settings of the address, the login or the database, if a connect
// failed because of their value. A server that is full, or that starts, is no matter of a setting.
func settingsToBlame(err error) string {
	var connect *pgconn.ConnectError
	var pgErr *pgconn.PgError
	switch {
	case !errors.As(err, &connect):
		return ""
	case !errors.As(err, &pgErr):
		return "DB_HOST and DB_PORT"
	case pgErr.Code == "28P01" || pgErr.Code == "28000":
		return "DB_USER and DB_PASSWORD"
	case pgErr.Code == "3D000":
		return "DB_NAME"
	}
	return ""
}
