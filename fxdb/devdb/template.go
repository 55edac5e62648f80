//go:build linux || darwin

package devdb

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// A template is a packed data folder after initdb, rolesSQL and a clean stop: a server starts
// from a template in no time.
type template struct {
	pg   binaries
	acct account
	file string
}

const (
	templatePrefix = "template-"
	tempTemplates  = templatePrefix + "*.tmp"
	// templateAge is the age at which prune removes a replaced template: each upgrade of
	// PostgreSQL leaves a template behind that no start uses again.
	templateAge = 30 * 24 * time.Hour
)

// newTemplate names the template with the given key in the cache folder: the given folder, or
// the user's cache folder. If the user's cache folder is not writable, newTemplate takes a
// folder in the run directory (HOME may be unset, or read-only in a build).
func newTemplate(pg binaries, acct account, cache, base, key string) (template, error) {
	t := template{pg: pg, acct: acct}
	name := templatePrefix + key + ".tar"
	if cache == "" {
		user, err := os.UserCacheDir()
		cache = filepath.Join(user, "onepool")
		t.file = filepath.Join(cache, name)
		if err == nil && (exists(t.file) || writable(cache)) {
			return t, nil
		}
		cache = filepath.Join(base, "cache")
	}
	t.file = filepath.Join(cache, name)
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return t, fmt.Errorf("devdb: cache folder: %w; set XDG_CACHE_HOME to a folder that can be written to", err)
	}
	return t, nil
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// writable makes the folder and tries to write: the folder's mode does not show a read-only
// mount.
func writable(dir string) bool {
	if os.MkdirAll(dir, 0o700) != nil {
		return false
	}
	f, err := os.CreateTemp(dir, tempTemplates)
	return err == nil && errors.Join(f.Close(), os.Remove(f.Name())) == nil
}

// templateKey names all settings that shape the data folder and the server.
func templateKey(pg binaries) string {
	h := sha256.Sum256([]byte(strings.Join([]string{
		"1", // to be raised when the form of the packed file changes
		pg.banner, pg.dir, strings.Join(pg.initdbArgs(), " "), rolesSQL,
		strings.Join(serverSettings, " "), // a shared server is found by the key, too
		runtime.GOARCH,
	}, "\x00")))
	return hex.EncodeToString(h[:8])
}

// install puts the data folder into the instance: from the packed file if the file exists and
// is sound. If not, install builds the data folder, and leaves the packed file for the next
// start.
func (t template) install(ctx context.Context, inst *instance) error {
	if unpack(t.file, inst.data(), t.acct) == nil {
		return t.acct.own(inst.dir)
	}
	if err := os.RemoveAll(inst.data()); err != nil {
		return fmt.Errorf("devdb: cluster template: %w", err)
	}
	if err := t.acct.own(inst.dir); err != nil {
		return fmt.Errorf("devdb: cluster template: %w", err)
	}
	if err := t.build(ctx, inst.data()); err != nil {
		return err
	}
	// Without the file only the next start takes longer, so a failure of pack is no error.
	if pack(inst.data(), t.file) == nil {
		t.prune()
	}
	return nil
}

// build makes the data folder. The SQL runs in single-user mode: no socket, no second process
// to watch, and a clean shutdown at the end of the input.
func (t template) build(ctx context.Context, data string) error {
	initdb := t.acct.command(ctx, filepath.Join(t.pg.dir, "initdb"), append(t.pg.initdbArgs(), "-D", data)...)
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("devdb: initdb: %w; it says:\n%s", ctxOr(ctx, err), out)
	}
	single := t.acct.command(ctx, filepath.Join(t.pg.dir, "postgres"), "--single",
		"-D", data, "-c", "fsync=off", "-c", "exit_on_error=on", "template1")
	single.Stdin = strings.NewReader(rolesSQL)
	if out, err := single.CombinedOutput(); err != nil {
		return fmt.Errorf("devdb: roles of the cluster template: %w; the server says:\n%s", ctxOr(ctx, err), out)
	}
	return nil
}

// prune removes old templates and the leftovers of killed packers. Errors don't matter: the
// next build of a template tries again.
func (t template) prune() {
	old, _ := os.ReadDir(filepath.Dir(t.file))
	for _, e := range old {
		fi, err := e.Info()
		if err != nil || !strings.HasPrefix(e.Name(), templatePrefix) {
			continue
		}
		limit := templateAge
		if strings.HasSuffix(e.Name(), ".tmp") {
			limit = time.Hour
		}
		if time.Since(fi.ModTime()) > limit {
			_ = os.Remove(filepath.Join(filepath.Dir(t.file), e.Name()))
		}
	}
}

// ctxOr prefers the reason why ctx has ended to "signal: killed".
func ctxOr(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
