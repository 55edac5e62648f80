//go:build linux || darwin

package devdb

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"
)

// Start starts a server, or joins the shared server (see [Shared]), and returns when the server
// accepts connections. Start looks for the binaries in the folder of ONEPOOL_PG_BINDIR, in
// PATH, and in the usual places of packages, the newest version first. The folder of pg_config
// comes next; see [Download] for the last way. Without binaries Start returns a [NotFoundError]
// with the list of places.
//
// ctx bounds the start only. The server stays until Stop, or until the process has ended.
func Start(ctx context.Context, opts ...Option) (*Server, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("devdb: %w", context.Cause(ctx))
	}
	cfg := newConfig(opts)
	if cfg.shared && len(cfg.settings) > 0 {
		return nil, errors.New("devdb: Settings need a server of the caller's own: leave Shared out")
	}
	l, err := newLauncher(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if cfg.shared {
		return l.join(ctx, cfg.linger)
	}
	return l.launch(ctx, 0, cfg.settings...)
}

// A launcher holds all data of a start.
type launcher struct {
	pg       binaries
	acct     account
	base     string
	key      string // of all settings that shape a server
	template template
}

func newLauncher(ctx context.Context, cfg config) (l launcher, err error) {
	if l.acct, err = serverAccount(); err != nil {
		return l, err
	}
	last := notDownloaded
	if cfg.download {
		last = defaultDownloads().fromDownload
	}
	if l.pg, err = findBinaries(ctx, append(slices.Clone(cfg.sources), last), l.acct); err != nil {
		return l, err
	}
	if cfg.base == "" {
		cfg.base = chooseBase()
	}
	if l.base, err = openBase(cfg.base, l.acct); err != nil {
		return l, err
	}
	l.key = templateKey(l.pg)
	l.template, err = newTemplate(l.pg, l.acct, cfg.cache, l.base, l.key)
	return l, err
}

// launch starts a new server. The server goes on for linger after the last user. With a linger
// of 0 the server is the caller's own: Stop waits for the server's end. settings come after
// devdb's own, and win.
func (l launcher) launch(ctx context.Context, linger time.Duration, settings ...string) (*Server, error) {
	inst, err := newInstance(ctx, l.base)
	if err != nil {
		return nil, err
	}
	if err := l.template.install(ctx, inst); err != nil {
		return nil, errors.Join(err, inst.discard())
	}
	command := append([]string{filepath.Join(l.pg.dir, "postgres")}, inst.serverArgs(settings...)...)
	sup, err := supervise(inst.dir, inst.reader, l.acct, linger, command)
	if err != nil {
		return nil, errors.Join(err, inst.discard())
	}
	inst.handOver()
	if err := sup.ready(ctx); err != nil {
		return nil, errors.Join(err, abort(ctx, inst, sup))
	}
	s := l.server(inst.dir)
	if linger > 0 {
		sup.forget()
		s.shared = true
		s.stop = func(context.Context) error { inst.hold.release(); return nil }
	} else {
		s.stop = func(ctx context.Context) error { inst.hold.release(); return sup.end(ctx) }
	}
	return s, nil
}

// abort removes a server that did not get ready. A lingering server must end at once: abort
// sends the supervisor the signal to stop.
func abort(ctx context.Context, inst *instance, sup *supervisor) error {
	inst.hold.release()
	sup.terminate()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killLimit)
	defer cancel()
	return sup.end(ctx)
}

func (l launcher) server(dir string) *Server {
	return &Server{dir: dir, version: l.pg.version, bindir: l.pg.dir, why: l.pg.why}
}
