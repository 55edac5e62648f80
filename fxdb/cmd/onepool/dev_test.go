package main

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"regexp"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
)

func TestDevServesAnApplicationUntilTheInterrupt(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "dev")
	cmd.Env = append(os.Environ(), "ONEPOOL_COMMAND=1")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	settings := make(map[string]string)
	line := regexp.MustCompile(`^export (\w+)='?([^']+)'?$`)
	for lines := bufio.NewScanner(out); len(settings) < 3 && lines.Scan(); {
		m := line.FindStringSubmatch(lines.Text())
		require.NotNil(t, m, lines.Text())
		settings[m[1]] = m[2]
	}
	require.Equal(t, "true", settings["DB_MIGRATE"])
	notes := fstest.MapFS{"00001_n.sql": {Data: []byte("-- +goose Up\ncreate schema notes; create table notes.notes (body text);\n")}}
	db, err := fxdb.Open(ctx, fxdb.Config{URL: settings["DATABASE_URL"], MigrateURL: settings["DB_MIGRATE_URL"], Migrate: true}, fxdb.WithMigrations("notes", notes))
	require.NoError(t, err)
	_, err = db.Exec(ctx, "insert into notes.notes values ('hello')")
	require.NoError(t, err)
	require.NoError(t, db.Close(ctx))

	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.NoError(t, cmd.Wait())
	_, err = pgx.Connect(ctx, settings["DATABASE_URL"])
	require.Error(t, err, "the server is gone")
}
