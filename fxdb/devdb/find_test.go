//go:build linux || darwin

package devdb

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// fakeInstall makes a folder with programs that look like a server's.
func fakeInstall(t *testing.T, dir string, programs ...string) string {
	t.Helper()
	require.NoError(t, os.MkdirAll(dir, 0o755))
	for _, p := range programs {
		require.NoError(t, os.WriteFile(filepath.Join(dir, p), []byte("#!/bin/sh\n"), 0o755))
	}
	return dir
}

// realTempDir is t.TempDir without the links that macOS has in its path.
func realTempDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	return dir
}

func TestNothingFoundListsWhatWasTried(t *testing.T) {
	t.Setenv(envBindir, "")
	t.Setenv("PATH", t.TempDir())
	half := fakeInstall(t, filepath.Join(t.TempDir(), "pg-12", "bin"), "postgres")
	globs := []string{"/nowhere/pg-*/bin", half}

	_, err := Start(t.Context(), func(c *config) {
		c.sources = []source{fromEnv, fromPath, fromGlobs(globs), fromPgConfig}
	})
	var notFound *NotFoundError
	require.ErrorAs(t, err, &notFound)
	require.Equal(t, []string{
		"ONEPOOL_PG_BINDIR: not set",
		"postgres in PATH: not found",
		"/nowhere/pg-*/bin: no such folder",
		half + ": has no initdb",
		`pg_config --bindir: exec: "pg_config": executable file not found in $PATH`,
		"ONEPOOL_PG_DOWNLOAD: not set to 1, so nothing is downloaded",
	}, notFound.Tried)
	for _, s := range append(notFound.Tried, "apt-get install postgresql", "brew install postgresql",
		"set DATABASE_URL", "set ONEPOOL_PG_BINDIR") {
		require.ErrorContains(t, err, s)
	}
}

func TestUselessBindirIsAnError(t *testing.T) {
	for _, dir := range []string{t.TempDir(), "/nowhere"} {
		t.Setenv(envBindir, dir)
		_, err := Start(t.Context())
		require.ErrorContains(t, err, "ONEPOOL_PG_BINDIR="+dir+": has no initdb")
	}
}

func TestBindirThatIsNoPostgreSQL(t *testing.T) {
	dir := fakeInstall(t, realTempDir(t), "initdb", "postgres")
	t.Setenv(envBindir, dir)
	_, err := Start(t.Context())
	require.ErrorContains(t, err, dir) // root's account can't reach it, others see it print nothing
}

func TestNewestInstallationIsTaken(t *testing.T) {
	root := realTempDir(t)
	for _, v := range []string{"9.6", "15", "18", "8.4"} {
		fakeInstall(t, filepath.Join(root, "postgresql", v, "bin"), "initdb", "postgres")
	}
	fakeInstall(t, filepath.Join(root, "postgresql", "19", "bin"), "psql")
	other := fakeInstall(t, filepath.Join(root, "pgsql-17", "bin"), "initdb", "postgres")

	dir, _, err := fromGlobs([]string{root + "/pgsql-*/bin", root + "/postgresql/*/bin"})(context.Background())
	require.NoError(t, err)
	require.Equal(t, filepath.Join(root, "postgresql", "18", "bin"), dir)
	dir, _, err = fromGlobs([]string{root + "/postgresql/[89].*/bin", root + "/pgsql-*/bin"})(context.Background())
	require.NoError(t, err)
	require.Equal(t, other, dir)
}

func TestLinksInPathLeadToTheInstallation(t *testing.T) {
	root := realTempDir(t)
	install := fakeInstall(t, filepath.Join(root, "install"), "initdb", "postgres")
	links := fakeInstall(t, filepath.Join(root, "links"))
	for _, name := range []string{"initdb", "postgres"} {
		require.NoError(t, os.Symlink(filepath.Join(install, name), filepath.Join(links, name)))
	}
	t.Setenv("PATH", links)
	dir, why, err := fromPath(t.Context())
	require.NoError(t, err)
	require.Equal(t, install, dir)
	require.Equal(t, "postgres in PATH", why)
}

func TestPgConfigLeadsToTheInstallation(t *testing.T) {
	install := fakeInstall(t, realTempDir(t), "initdb", "postgres")
	tools := t.TempDir()
	t.Setenv("PATH", tools)
	for bindir, want := range map[string]string{install: install, t.TempDir(): ""} {
		script := "#!/bin/sh\necho " + bindir + "\n"
		require.NoError(t, os.WriteFile(filepath.Join(tools, "pg_config"), []byte(script), 0o755))
		dir, why, err := fromPgConfig(t.Context())
		require.Equal(t, want, dir)
		if want == "" {
			require.ErrorContains(t, err, "pg_config --bindir = "+bindir+": has no initdb")
			continue
		}
		require.NoError(t, err)
		require.Equal(t, "pg_config --bindir", why)
	}
}

func TestEndOfContextIsNotTakenForAbsence(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := find(ctx, []source{fromPgConfig})
	require.ErrorIs(t, err, context.Canceled)
}

func TestErrorOtherThanMissingEndsTheSearch(t *testing.T) {
	stop := func(context.Context) (string, string, error) { return "", "", os.ErrPermission }
	never := func(context.Context) (string, string, error) { panic("asked") }
	_, _, err := find(t.Context(), []source{stop, never})
	require.ErrorIs(t, err, os.ErrPermission)
}
