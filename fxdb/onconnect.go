package fxdb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/fx"

	"github.com/agentagency/onepool/internal/graph"
	"github.com/agentagency/onepool/lifecycle"
)

// OnConnect contributes a hook that runs on every new connection of the pool, and of the
// pools of DB_DEDICATED, before anybody gets the connection. A hook registers types: see
// [LoadTypes], or the Register functions of pgvector and shopspring-numeric. Hooks run in
// the order of their names. Inside ModuleNamed the hooks are that pool's. testkit.Swap
// keeps the hooks.
//
// A setting that a hook leaves on the session belongs to the connection: the pool keeps
// the connection. If a later text resets the session, the pool closes the connection, and
// the hooks run on the next connection.
//
// The connection fails with a *ConnectHookError if a hook returns an error, panics, leaves
// a transaction open, takes a role, or sets app.current_tenant, app.current_user or
// app.current_session. All hooks of a connection together have the time of connect_timeout;
// ctx ends then. The check of the session costs one round trip a connection.
//
// Behind a pooler (DB_POOLER) a hook may only register types: each transaction has another
// session. A blank name, a name given twice and a nil hook fail when the graph is built.
func OnConnect(name string, fn func(context.Context, *pgx.Conn) error) fx.Option {
	return fx.Provide(fx.Annotate(func(of graph.Pool) graph.ConnectHook {
		return graph.ConnectHook{Pool: of, Name: name, Run: fn}
	}, fx.ParamTags(`optional:"true"`), fx.ResultTags(`group:"onepool.onconnect"`)))
}

// WithOnConnect is [OnConnect] for Open.
func WithOnConnect(name string, fn func(context.Context, *pgx.Conn) error) Option {
	return option(func(o *options) { o.hooks = append(o.hooks, graph.ConnectHook{Name: name, Run: fn}) })
}

// ConnectHookError fails a new connection because of a hook of [OnConnect].
type ConnectHookError struct {
	Hook string // name, or names with a comma between them
	Err  error
}

// Error names the hook.
func (e *ConnectHookError) Error() string {
	return fmt.Sprintf("fxdb.OnConnect: hook %s: %v", e.Hook, e.Err)
}

// Unwrap returns the hook's own error.
func (e *ConnectHookError) Unwrap() error { return e.Err }

// connectHooks are the hooks of one database, in their order.
type connectHooks struct {
	hooks []graph.ConnectHook
	types typeCache
}

// afterConnectHook is the name of the AfterConnect that ConfigurePool sets.
const afterConnectHook = "AfterConnect of ConfigurePool"

// onConnect sets pc.AfterConnect, which runs the hooks. An earlier AfterConnect of pc runs first.
func onConnect(pc *pgxpool.Config, hooks []graph.ConnectHook) error {
	all := inOrder(hooks)
	for i, h := range all {
		switch {
		case strings.TrimSpace(h.Name) == "":
			return errors.New("fxdb.OnConnect: a hook has a blank name: errors need the name of the hook")
		case h.Run == nil:
			return fmt.Errorf("fxdb.OnConnect: hook %q is nil", h.Name)
		case i > 0 && all[i-1].Name == h.Name:
			return fmt.Errorf("fxdb.OnConnect: hook %q is given twice: rename one of the two", h.Name)
		}
	}
	if pc.AfterConnect != nil {
		all = slices.Insert(all, 0, graph.ConnectHook{Name: afterConnectHook, Run: pc.AfterConnect})
	}
	if len(all) > 0 {
		pc.AfterConnect = (&connectHooks{hooks: all}).run
	}
	return nil
}

// inOrder returns hooks by name.
func inOrder(hooks []graph.ConnectHook) []graph.ConnectHook {
	return slices.SortedFunc(slices.Values(hooks), func(a, b graph.ConnectHook) int { return strings.Compare(a.Name, b.Name) })
}

// run runs the hooks on a new connection.
func (h *connectHooks) run(ctx context.Context, conn *pgx.Conn) error {
	within := conn.Config().ConnectTimeout
	if within <= 0 {
		within = lifecycle.DefaultAcquireTimeout
	}
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, typesKey{}, &h.types), within)
	defer cancel()
	login := conn.PgConn().ParameterStatus("session_authorization")
	for _, hook := range h.hooks {
		if err := runHook(ctx, hook, conn); err != nil {
			return hookError(ctx, hook.Name, within, err)
		}
	}
	err := checkSession(ctx, conn, login)
	if err == nil {
		return nil
	}
	names := make([]string, len(h.hooks))
	for i, hook := range h.hooks {
		names[i] = hook.Name
	}
	return hookError(ctx, strings.Join(names, ", "), within, err)
}

// hookError names the hook, and the bound if the bound ended the hook.
func hookError(ctx context.Context, name string, within time.Duration, err error) error {
	if ctx.Err() != nil {
		err = fmt.Errorf("%w (the hooks of a connection may take %s, the connect_timeout)", err, within)
	}
	return &ConnectHookError{Hook: name, Err: err}
}

// runHook runs in a goroutine of pgxpool: a panic there would end the process.
func runHook(ctx context.Context, hook graph.ConnectHook, conn *pgx.Conn) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panicked: %v", r)
		}
	}()
	if err := hook.Run(ctx, conn); err != nil {
		return err
	}
	switch {
	case conn.IsClosed():
		return errors.New("closed the connection")
	case conn.PgConn().TxStatus() != 'I':
		return errors.New("left a transaction open: commit the transaction")
	}
	return nil
}

// scopeSettings are the settings that a scope sets for one transaction.
var scopeSettings = []string{"app.current_tenant", "app.current_user", "app.current_session"}

// sessionSQL shows who the session is, now and as the session began.
var sessionSQL = func() string {
	look := "select current_user"
	reset := "; reset role; "
	for _, name := range scopeSettings {
		look += ", coalesce(pg_catalog.current_setting('" + name + "', true), '')"
		reset += "reset " + pgx.Identifier(strings.Split(name, ".")).Sanitize() + "; " // current_user is a reserved word
	}
	return look + reset + look
}()

// checkSession fails if the session has a role or an identity that the session did not
// begin with. login is the session's user before the hooks, if the server reports the user.
func checkSession(ctx context.Context, conn *pgx.Conn, login string) error {
	if now := conn.PgConn().ParameterStatus("session_authorization"); now != login {
		return fmt.Errorf("took the login %q: a hook may not change who the session is", now)
	}
	results, err := conn.PgConn().Exec(ctx, sessionSQL).ReadAll()
	if err != nil {
		return fmt.Errorf("read the session after the hooks: %w", err)
	}
	left, began := results[0].Rows[0], results[len(results)-1].Rows[0]
	if string(left[0]) != string(began[0]) {
		return fmt.Errorf("took the role %q: a hook may not change who the session is; see DB_TENANT_ROLE", left[0])
	}
	for i, name := range scopeSettings {
		if string(left[i+1]) != string(began[i+1]) {
			return fmt.Errorf("set %s: every later statement without a tenant would run as that tenant", name)
		}
	}
	return nil
}
