package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/pressly/goose/v3"
	"go.uber.org/zap"
)

// Schema holds the version tables.
const Schema = "onepool"

// afterwards bounds the work of a run after a cancel: the run ends the statement on the server,
// looks for half-done work, and closes.
const afterwards = 2 * time.Second

// Option changes how [Up] and [Down] connect.
type Option func(*run)

// LockTimeout is the lock_timeout of migrations in a transaction, if neither the connection
// string nor the role nor the database sets lock_timeout. Default: none.
func LockTimeout(d time.Duration) Option {
	return func(r *run) { r.lockTimeout = strconv.FormatInt(max(d.Milliseconds(), 0), 10) }
}

// BeforeConnect runs before the opening of each session, like pgxpool's hook BeforeConnect.
func BeforeConnect(fn func(context.Context, *pgx.ConnConfig) error) Option {
	return func(r *run) { r.beforeConnect = fn }
}

// Up applies the missing migrations of every source, in the order of sources. Up connects with
// cc, in new sessions without a statement timeout. If cc has several hosts, Up connects to the
// host that is the primary. A source with an applied migration whose text
// has changed is an [ErrChanged], and Up applies nothing of the source. An error of a migration
// is an *[Error].
func Up(ctx context.Context, cc *pgx.ConnConfig, log *zap.Logger, sources []Source, opts ...Option) error {
	return newRun(cc, log, sources, opts).all(ctx)
}

// Down undoes every migration of every source, the last source first.
func Down(ctx context.Context, cc *pgx.ConnConfig, sources []Source, opts ...Option) error {
	sources = slices.Clone(sources)
	slices.Reverse(sources)
	r := newRun(cc, zap.NewNop(), sources, opts)
	r.down = true
	return r.all(ctx)
}

// run is an Up or a Down.
type run struct {
	cc            *pgx.ConnConfig
	beforeConnect func(context.Context, *pgx.ConnConfig) error
	log           *zap.Logger
	sources       []Source
	down          bool

	lockTimeout string              // of transactions, in ms
	unlimited   map[string]struct{} // limits of which the sessions of migrations must be free

	second *pgx.Conn // holds the turn; runs no migration
	waited bool      // for another process, and has logged the wait
}

func newRun(cc *pgx.ConnConfig, log *zap.Logger, sources []Source, opts []Option) *run {
	cc = cc.Copy()
	cc.Tracer = nil
	wantPrimary(cc)
	// The build of an index on a large table may take any time; ctx is the bound.
	cc.RuntimeParams["statement_timeout"] = "0"
	cc.RuntimeParams["idle_in_transaction_session_timeout"] = "0"
	// When ctx ends the server must end the statement too: no build may continue while the next
	// start migrates.
	cc.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: afterwards}
	}
	r := &run{cc: cc, log: log, sources: sources, lockTimeout: "0", unlimited: make(map[string]struct{})}
	for _, opt := range opts {
		opt(r)
	}
	return r
}

// wantPrimary leaves out the standbys of a connection string with several hosts: migrations
// write, whatever server the string asks for.
func wantPrimary(cc *pgx.ConnConfig) {
	for _, f := range cc.Fallbacks {
		if f.Host != cc.Host || f.Port != cc.Port { // else the same host without TLS
			cc.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary
			return
		}
	}
}

func (r *run) all(ctx context.Context) error {
	if len(r.sources) == 0 {
		return nil
	}
	defer r.close()
	if err := r.begin(ctx); err != nil {
		return err
	}
	for _, s := range r.sources {
		if err := r.one(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// one takes a source up or down, on a fresh session that holds the lock: settings of a source's
// migrations (search_path, role) never reach another source.
func (r *run) one(ctx context.Context, s Source) error {
	c := &connector{run: r}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(1)
	defer db.Close() // the server releases the lock with the session
	p, err := goose.NewProvider(goose.DialectPostgres, db, s.FS,
		goose.WithTableName(s.VersionTable()), goose.WithLogger(goose.NopLogger()), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return r.failure(ctx, s, nil, err)
	}
	if !r.down {
		if applied, err := r.checkSums(ctx, s, p); err != nil || applied {
			return r.failure(ctx, s, nil, err)
		}
	}
	if err := c.open(ctx, db); err != nil {
		return err
	}
	if r.down {
		err = r.takeBack(ctx, s, p)
	} else {
		err = r.apply(ctx, s, p)
	}
	if err != nil {
		return r.failure(ctx, s, c.session, err)
	}
	conn, err := r.aside(ctx)
	if err == nil {
		_, err = protect(ctx, conn) // goose may have made the version table
	}
	if err != nil {
		return r.failure(ctx, s, nil, err)
	}
	// Otherwise the next session would find the lock taken until the server has ended this
	// session.
	var released bool
	_ = db.QueryRowContext(ctx, fmt.Sprintf("select pg_catalog.pg_advisory_unlock(%d)", lockKey)).Scan(&released)
	return nil
}

func (r *run) apply(ctx context.Context, s Source, p *goose.Provider) error {
	results, err := p.Up(ctx)
	var partial *goose.PartialError
	if errors.As(err, &partial) {
		results = partial.Applied
	}
	for _, m := range results {
		r.log.Info("migration applied", zap.String("source", s.Name), zap.Int64("version", m.Source.Version),
			zap.String("file", m.Source.Path), zap.Duration("elapsed", m.Duration))
	}
	if len(results) == 0 {
		return err
	}
	if err != nil { // record the migrations applied before the error
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterwards)
		defer cancel()
		_, _ = r.checkSums(late, s, p)
		return err
	}
	_, err = r.checkSums(ctx, s, p)
	return err
}

func (r *run) takeBack(ctx context.Context, s Source, p *goose.Provider) error {
	if _, err := p.DownTo(ctx, 0); err != nil {
		return err
	}
	return r.forgetSums(ctx, s)
}

// config returns the configuration of a new session.
func (r *run) config(ctx context.Context) (*pgx.ConnConfig, error) {
	cc := r.cc.Copy()
	if r.beforeConnect != nil {
		if err := r.beforeConnect(ctx, cc); err != nil {
			return nil, err
		}
	}
	return cc, nil
}

// begin opens the second session, takes the turn, and makes the schema of the version
// tables.
func (r *run) begin(ctx context.Context) error {
	conn, err := r.aside(ctx)
	if err != nil {
		return err
	}
	if err := r.take(ctx, conn, turnKey); err != nil {
		return err
	}
	exists, err := protect(ctx, conn)
	if err != nil || exists { // the role may lack the right to create schemas if a different role made the schema
		return err
	}
	if _, err := conn.Exec(ctx, "create schema if not exists "+Schema); err != nil {
		return schemaFailure(ctx, conn, err)
	}
	return nil
}

// aside returns the second session. aside opens a lost second session again, without the turn:
// the session that migrates still holds the lock.
func (r *run) aside(ctx context.Context) (*pgx.Conn, error) {
	if r.second != nil && r.second.Ping(ctx) == nil {
		return r.second, nil
	}
	r.close()
	cc, err := r.config(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, cc)
	if err != nil {
		return nil, fmt.Errorf("connect for the migrations: %w", err)
	}
	r.second = conn
	if err := r.readLimits(ctx); err != nil {
		return nil, fmt.Errorf("read the limits on migrations: %w", err)
	}
	return conn, nil
}

// readLimits finds the limits that the role, the database and the connection string set. The
// second session is idle while a migration runs: no limit on idle sessions may apply.
func (r *run) readLimits(ctx context.Context) error {
	rows, err := r.second.Query(ctx, `select name, setting, source from pg_catalog.pg_settings
		where name in ('lock_timeout', 'idle_session_timeout', 'transaction_timeout')`)
	if err != nil {
		return err
	}
	var name, setting, source string
	var off []string
	if _, err := pgx.ForEachRow(rows, []any{&name, &setting, &source}, func() error {
		if setting != "0" {
			r.unlimited[name] = struct{}{}
		}
		switch {
		case name != "lock_timeout":
			off = append(off, name)
		case source != "default":
			r.lockTimeout = setting
		}
		return nil
	}); err != nil {
		return err
	}
	for _, name := range off {
		if _, err := r.second.Exec(ctx, "select pg_catalog.set_config($1, '0', false)", name); err != nil {
			return err
		}
	}
	return nil
}

// close ends the second session, and releases the turn.
func (r *run) close() {
	if r.second == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = r.second.Close(ctx)
	r.second = nil
}
