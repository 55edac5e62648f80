package devdb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const envBindir = "ONEPOOL_PG_BINDIR"

// installGlobs are folders of packages that put the server's binaries outside of PATH.
var installGlobs = []string{
	"/usr/lib/postgresql/*/bin",                          // Debian, Ubuntu
	"/usr/pgsql-*/bin",                                   // PostgreSQL's own packages for Red Hat
	"/usr/libexec/postgresql*",                           // Alpine
	"/opt/homebrew/opt/postgresql@*/bin",                 // Homebrew, Apple silicon
	"/usr/local/opt/postgresql@*/bin",                    // Homebrew, Intel
	"/Applications/Postgres.app/Contents/Versions/*/bin", // Postgres.app
	"/opt/local/lib/postgresql*/bin",                     // MacPorts
}

// A source is a way to server binaries: a source returns the folder with initdb and postgres,
// and the reason for the choice. A source without binaries returns a missing error, and the
// search asks the next source. Any other error ends the search.
type source func(ctx context.Context) (bindir, why string, err error)

// missing lists the vain attempts of a source.
type missing []string

func (m missing) Error() string { return strings.Join(m, "; ") }

func defaultSources() []source {
	return []source{fromEnv, fromPath, fromGlobs(installGlobs), fromPgConfig}
}

func find(ctx context.Context, sources []source) (bindir, why string, err error) {
	var tried []string
	for _, s := range sources {
		bindir, why, err = s(ctx)
		if err == nil {
			return bindir, why, nil
		}
		if ctx.Err() != nil { // the end of ctx alone may be the reason for an empty source
			return "", "", fmt.Errorf("devdb: looking for PostgreSQL: %w", context.Cause(ctx))
		}
		m, ok := errors.AsType[missing](err)
		if !ok {
			return "", "", err
		}
		tried = append(tried, m...)
	}
	return "", "", &NotFoundError{Tried: tried}
}

// fromEnv does not skip a useless folder in silence: the user who set the variable would test
// against an unexpected server.
func fromEnv(context.Context) (string, string, error) {
	dir := os.Getenv(envBindir)
	if dir == "" {
		return "", "", missing{envBindir + ": not set"}
	}
	bindir, err := usable(dir)
	if err != nil {
		return "", "", fmt.Errorf("devdb: %s=%s: %w; set it to the folder that holds initdb and postgres, or unset it",
			envBindir, dir, err)
	}
	return bindir, envBindir, nil
}

func fromPath(context.Context) (string, string, error) {
	const what = "postgres in PATH"
	path, err := exec.LookPath("postgres")
	if err != nil {
		return "", "", missing{what + ": not found"}
	}
	bindir, err := usable(filepath.Dir(path))
	if err != nil {
		return "", "", missing{what + ": " + err.Error()}
	}
	return bindir, what, nil
}

func fromGlobs(globs []string) source {
	return func(context.Context) (string, string, error) {
		var dirs, tried []string
		for _, g := range globs {
			found, _ := filepath.Glob(g) // errs on a malformed pattern only
			if len(found) == 0 {
				tried = append(tried, g+": no such folder")
			}
			dirs = append(dirs, found...)
		}
		slices.SortStableFunc(dirs, func(a, b string) int { return cmp.Compare(majorInPath(b), majorInPath(a)) })
		for _, d := range dirs {
			bindir, err := usable(d)
			if err == nil {
				return bindir, "newest installed", nil
			}
			tried = append(tried, d+": "+err.Error())
		}
		return "", "", missing(tried)
	}
}

// fromPgConfig comes last: a development package brings pg_config and the name of a folder, but
// not the server.
func fromPgConfig(ctx context.Context) (string, string, error) {
	const what = "pg_config --bindir"
	out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output()
	if err != nil {
		return "", "", missing{what + ": " + err.Error()}
	}
	dir := strings.TrimSpace(string(out))
	bindir, err := usable(dir)
	if err != nil {
		return "", "", missing{what + " = " + dir + ": " + err.Error()}
	}
	return bindir, what, nil
}

// usable returns the real folder of dir's initdb and postgres. Both programs must exist, from
// the same installation: a client package has neither, and PATH may hold a link to only initdb
// or only postgres.
func usable(dir string) (string, error) {
	var dirs [2]string
	for i, name := range []string{"initdb", "postgres"} {
		path, err := filepath.EvalSymlinks(filepath.Join(dir, name))
		if err != nil {
			return "", fmt.Errorf("has no %s", name)
		}
		if fi, err := os.Stat(path); err != nil || !fi.Mode().IsRegular() || fi.Mode()&0o111 == 0 {
			return "", fmt.Errorf("its %s is not an executable file", name)
		}
		if dirs[i], err = filepath.Abs(filepath.Dir(path)); err != nil {
			return "", err
		}
	}
	if dirs[0] != dirs[1] {
		return "", fmt.Errorf("initdb is from %s but postgres from %s", dirs[0], dirs[1])
	}
	return dirs[0], nil
}

var number = regexp.MustCompile(`\d+(\.\d+)?`)

// majorInPath reads the version out of a folder's name, 0 without a version.
func majorInPath(dir string) float64 {
	all := number.FindAllString(dir, -1)
	if len(all) == 0 {
		return 0
	}
	v, _ := strconv.ParseFloat(all[len(all)-1], 64) // the pattern admits numbers only
	return v
}
