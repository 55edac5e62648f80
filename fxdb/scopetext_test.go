package fxdb

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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
			cfg: Config{Pooler: "transaction", fences: []param{{name: "lock_timeout", value: "5"}}}, client: rootClient,
			settings: "lock_timeout", values: []string{"5"}, alone: identity + " lock_timeout",
		},
	} {
		text, st := newScopeText(c.cfg, "shop", c.client, c.limits, 30*time.Second), &statements{}
		check := func(s scope, groups group, sets string, values ...string) {
			t.Helper()
			s.form = text.form(groups)
			require.Equal(t, setsAll(sets), s.form.sql, name)
			require.Same(t, s.form, text.form(groups), "%s: a form is built once", name)
			require.True(t, verdictOf(s.form.sql, false).Plain(), "%s: a scope would cost the connection", name)
			args, sent := s.args(), st.scopeValues(s)
			require.Len(t, args, len(values), name)
			for i, want := range values {
				require.Equal(t, want, args[i], name)
				require.Equal(t, []byte(want), sent[i], "%s: nil would be NULL", name)
			}
		}
		acme, due := tenant.Identity{Tenant: "acme", User: "ann"}, time.Now() // 1 ms is the least
		own, mine := slices.Concat([]string{"acme", "ann", ""}, c.values), identity+" "+c.settings
		check(scope{identity: acme}, ofIdentity|ofClient, mine, own...)
		check(scope{identity: acme, deadline: due}, ofIdentity|ofClient|ofDeadline, mine+" statement_timeout", append(own, "1")...)
		var alone []string
		switch {
		case c.alone == "":
			require.Nil(t, text.form(text.alone), name)
		case text.alone&ofIdentity != 0:
			alone = slices.Concat([]string{"", "", ""}, c.values)
			check(scope{}, text.alone, c.alone, alone...)
		default:
			alone = c.values
			check(scope{}, text.alone, c.alone, alone...)
		}
		check(scope{deadline: due}, text.alone|ofDeadline, c.alone+" statement_timeout", append(slices.Clone(alone), "1")...)
	}
	unknown := newScopeText(Config{}, "shop", rootClient, ServerTimeouts{}, 0).form(ofDeadline)
	require.True(t, verdictOf(unknown.sql, false).Plain(), "a scope would cost the connection: %s", unknown.sql)
}

// setsAll is the text that sets the settings to $1, $2 and so on, for the transaction.
func setsAll(settings string) string {
	var calls []string
	for i, name := range strings.Fields(settings) {
		calls = append(calls, "pg_catalog.set_config('"+name+"', $"+string(rune('1'+i))+", true)")
	}
	return "select " + strings.Join(calls, ", ")
}
