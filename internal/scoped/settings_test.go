package scoped_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/scoped"
	"github.com/agentagency/onepool/tenant"
)

// One list makes the text, the arguments and the values on the wire.
func TestTextArgumentsAndWireValuesOfAScopeAgree(t *testing.T) {
	t.Parallel()
	settings := scoped.NewSettings(scoped.Options{
		Application: "shop/web", Role: "clerk", Transaction: time.Second,
		Limits: []scoped.Limit{{Name: "lock_timeout", Value: "5", PerClient: true}, {Name: "statement_timeout", Value: "7"}},
	})
	all := scoped.OfIdentity | scoped.OfClient | scoped.OfPlans | scoped.OfTrace | scoped.OfDeadline | scoped.OfTransaction
	for _, id := range []tenant.Identity{{}, acme, {Tenant: "o'acme", User: `\`, Session: "s"}} {
		for groups := range all + 1 {
			s := &scoped.Scope{Identity: id, TraceID: "trace", Deadline: time.Now(), End: time.Now()} // 1 ms is the least
			settings.Give(s, groups)
			require.Equal(t, groups, s.Groups())
			require.Equal(t, groups == 0, s.IsZero())
			if s.IsZero() {
				continue
			}
			args, sent := s.Args(), scoped.WireValues(s)
			require.Len(t, sent, len(args), s.SQL())
			for i, arg := range args {
				require.NotNil(t, sent[i], "nil would be NULL: %s", s.SQL())
				require.Equal(t, arg, string(sent[i]), s.SQL())
			}
			require.True(t, scoped.EffectsOf(s.SQL(), false).Plain(), "a scope would cost the connection: %s", s.SQL())
		}
	}
}

func TestTheServerTakesEverySettingOfAScope(t *testing.T) {
	t.Parallel()
	s := connect(t, pgx.QueryExecModeExec)
	settings := scoped.NewSettings(scoped.Options{
		Application: "shop/web", Role: s.Config().User,
		Limits: []scoped.Limit{{Name: "lock_timeout", Value: "5000", PerClient: true}},
	})
	sc := &scoped.Scope{Identity: acme, TraceID: "trace", Deadline: time.Now().Add(time.Minute)}
	settings.Give(sc, scoped.OfIdentity|scoped.OfClient|scoped.OfPlans|scoped.OfTrace|scoped.OfDeadline)
	for name, want := range map[string]string{
		"app.current_tenant": "acme", "app.current_user": "ann", "app.current_session": "", "app.trace_id": "trace",
		"application_name": "shop/web", "role": s.Config().User, "lock_timeout": "5s", "plan_cache_mode": "force_custom_plan",
	} {
		var got string
		require.NoError(t, s.scan(within(t), sc, &got, "select current_setting($1)", name))
		require.Equal(t, want, got, name)
	}
	// The same without a snapshot, and for a session.
	b := &pgconn.Batch{}
	sc.AddTo(b)
	for _, sql := range sc.Ahead() {
		b.ExecParams(sql, nil, nil, nil, nil)
	}
	require.NoError(t, s.PgConn().ExecBatch(within(t), b).Close())
	require.Empty(t, s.tenantOf(t))
	session := settings.Session()
	_, err := s.PgConn().ExecParams(within(t), session.SQL, session.Values(acme), nil, nil, nil).Close()
	require.NoError(t, err)
	require.Equal(t, "acme", s.tenantOf(t))
	_, err = s.PgConn().Exec(within(t), session.Undo).ReadAll()
	require.NoError(t, err)
	require.Empty(t, s.tenantOf(t))
	limits, values := settings.Held()
	require.Equal(t, "select pg_catalog.set_config('lock_timeout', $1, false)", limits)
	require.Equal(t, [][]byte{[]byte("5000")}, values)
}

func TestATextThatWouldEndItsScopeIsRefused(t *testing.T) {
	t.Parallel()
	s := connect(t, pgx.QueryExecModeExec)
	guard := scoped.GuardSettings
	refuse := func(sql string) error { return guard.Refuse(s.Conn, sql, scoped.EffectsOf(sql, false)) }
	for _, sql := range []string{
		"commit", "select 1; rollback", "begin", "/* x */ END", "set local role postgres", "set local app.current_tenant = 'globex'",
		"set local session authorization postgres", "set role postgres", "reset role", "set app.current_tenant = 'globex'",
		"select set_config('app.current_tenant', 'globex', true)",
	} {
		err := refuse(sql)
		require.ErrorAs(t, err, new(*scoped.Error), sql)
		require.ErrorIs(t, err, scoped.ErrTenantNotCarried, sql)
	}
	const backslash = `select '\'`
	for _, sql := range []string{"select 1", "savepoint a", "rollback to a", "set local work_mem = '3MB'", "select 'commit'", backslash} {
		require.NoError(t, refuse(sql), sql)
	}
	_, err := s.Exec(within(t), "set standard_conforming_strings = off")
	require.NoError(t, err)
	require.ErrorAs(t, refuse(backslash), new(*scoped.Error), "the session reads a backslash in another way")

	guard = scoped.GuardEnd // limits alone know no tenant
	require.ErrorAs(t, refuse("commit"), new(*scoped.Error))
	require.NoError(t, refuse("set role postgres"))
	guard = scoped.NoGuard
	require.NoError(t, refuse("commit"))
}
