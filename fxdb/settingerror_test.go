package fxdb_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

func TestAFailedConnectNamesTheSetting(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	cc := testkit.DB(t).Pool().Config().ConnConfig
	parts := fxdb.Config{Host: cc.Host, Port: int(cc.Port), User: cc.User, Password: cc.Password, Name: cc.Database}
	with := func(change func(*fxdb.Config)) fxdb.Config {
		c := parts
		change(&c)
		return c
	}
	for name, c := range map[string]struct {
		cfg  fxdb.Config
		want string
	}{
		"the string":   {fxdb.Config{URL: "postgres://nobody@127.0.0.1:1/none"}, "(look at DATABASE_URL)"},
		"the address":  {fxdb.Config{Host: "127.0.0.1", Port: 1}, "(look at DB_HOST and DB_PORT)"},
		"the database": {with(func(c *fxdb.Config) { c.Name = "nowhere" }), "(look at DB_NAME)"},
		"the login":    {with(func(c *fxdb.Config) { c.User = "nobody" }), "(look at DB_USER and DB_PASSWORD)"},
		"the migrations' string": {with(func(c *fxdb.Config) {
			c.Migrate, c.MigrateURL = true, "postgres://nobody@127.0.0.1:1/none"
		}), "(look at DB_MIGRATE_URL)"},
	} {
		_, err := start(t, c.cfg, fxdb.WithMigrations("notes", notes))
		require.ErrorContains(t, err, c.want, name)
	}
}
