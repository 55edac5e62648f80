package fxdb

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/scoped"
	"github.com/agentagency/onepool/tenant"
)

// TestAScopeSetsItsTransactionOnlyAndByParameters needs no server.
func TestAScopeSetsItsTransactionOnlyAndByParameters(t *testing.T) {
	t.Parallel()
	const identity = "app.current_tenant app.current_user app.current_session"
	for name, c := range map[string]struct {
		cfg    Config
		client string
		limits ServerTimeouts

		settings string   // the settings of the client, behind the identity
		values   []string // of those
		alone    string   // the settings without a tenant; empty: no scope
	}{
		"the root":         {client: rootClient},
		"a client":         {client: "web", settings: "application_name", values: []string{"shop/web"}},
		"a tenant's role":  {cfg: Config{TenantRole: "clerk"}, client: rootClient, settings: "role", values: []string{"clerk"}, alone: "role"},
		"a client's limit": {client: rootClient, limits: ServerTimeouts{Lock: time.Second}, settings: "lock_timeout", values: []string{"1000"}, alone: "lock_timeout"},
		"a limit that is off": {
			client: rootClient, limits: ServerTimeouts{Statement: -1},
			settings: "statement_timeout", values: []string{"0"}, alone: "statement_timeout",
		},
		"behind a pooler": {
			cfg: Config{Pooler: "transaction", pooledTimeouts: []param{{name: "lock_timeout", value: "5"}}}, client: rootClient,
			settings: "lock_timeout", values: []string{"5"}, alone: identity + " lock_timeout",
		},
	} {
		settings := (&core{cfg: c.cfg, application: "shop"}).newSettings(c.client, c.limits, 30*time.Second)
		check := func(s scoped.Scope, groups scoped.Group, sets string, values ...string) {
			t.Helper()
			settings.Give(&s, groups)
			require.Equal(t, setsAll(sets), s.SQL(), name)
			require.True(t, scoped.EffectsOf(s.SQL(), false).Plain(), "%s: a scope would cost the connection", name)
			args := s.Args()
			require.Len(t, args, len(values), name)
			for i, want := range values {
				require.Equal(t, want, args[i], name)
			}
		}
		acme, due := tenant.Identity{Tenant: "acme", User: "ann"}, time.Now() // 1 ms is the least
		own, mine := slices.Concat([]string{"acme", "ann", ""}, c.values), identity+" "+c.settings
		const both = scoped.OfIdentity | scoped.OfClient
		check(scoped.Scope{Identity: acme}, both, mine, own...)
		check(scoped.Scope{Identity: acme, Deadline: due}, both|scoped.OfDeadline, mine+" statement_timeout", append(own, "1")...)
		var alone []string
		switch {
		case c.alone == "":
			var s scoped.Scope
			settings.Give(&s, settings.Alone())
			require.True(t, s.IsZero(), name)
		case settings.Alone()&scoped.OfIdentity != 0:
			alone = slices.Concat([]string{"", "", ""}, c.values)
			check(scoped.Scope{}, settings.Alone(), c.alone, alone...)
		default:
			alone = c.values
			check(scoped.Scope{}, settings.Alone(), c.alone, alone...)
		}
		check(scoped.Scope{Deadline: due}, settings.Alone()|scoped.OfDeadline, c.alone+" statement_timeout", append(slices.Clone(alone), "1")...)
	}
	var s scoped.Scope
	(&core{}).newSettings(rootClient, ServerTimeouts{}, 0).Give(&s, scoped.OfDeadline)
	unknown := s.SQL()
	require.True(t, scoped.EffectsOf(unknown, false).Plain(), "a scope would cost the connection: %s", unknown)
}

// setsAll is the text that sets the settings to $1, $2 and so on, for the transaction.
func setsAll(settings string) string {
	var calls []string
	for i, name := range strings.Fields(settings) {
		calls = append(calls, "pg_catalog.set_config('"+name+"', $"+string(rune('1'+i))+", true)")
	}
	return "select " + strings.Join(calls, ", ")
}
