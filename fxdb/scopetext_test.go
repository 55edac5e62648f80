package fxdb

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestAScopeSetsItsTransactionOnlyAndByParameters needs no server.
func TestAScopeSetsItsTransactionOnlyAndByParameters(t *testing.T) {
	t.Parallel()
	const identity = "app.current_tenant app.current_user app.current_session"
	for name, c := range map[string]struct {
		cfg    Config
		client string
		limits ServerTimeouts

		tenant, behind string // what a tenant's scope sets, and to which values behind the identity
		alone, rest    string // the same without a tenant; empty: no scope
	}{
		"the root":         {client: rootClient, tenant: identity},
		"a client":         {client: "web", tenant: identity + " application_name", behind: "shop/web"},
		"a tenant's role":  {cfg: Config{TenantRole: "clerk"}, client: rootClient, tenant: identity + " role", behind: "clerk", alone: "role", rest: "clerk"},
		"a client's limit": {client: rootClient, limits: ServerTimeouts{Lock: time.Second}, tenant: identity + " lock_timeout", behind: "1000", alone: "lock_timeout", rest: "1000"},
		"a limit that is off": {
			client: rootClient, limits: ServerTimeouts{Statement: -1},
			tenant: identity + " statement_timeout", behind: "0", alone: "statement_timeout", rest: "0",
		},
		"behind a pooler": {
			cfg: Config{Pooler: "transaction", fences: []setting{{name: "lock_timeout", value: "5"}}}, client: rootClient,
			tenant: identity + " lock_timeout", behind: "5", alone: identity + " lock_timeout", rest: "   5",
		},
	} {
		text := newScopeText(c.cfg, "shop", c.client, c.limits, 30*time.Second)
		require.Equal(t, setsAll(t, c.tenant), text.tenant.sql, name)
		require.Equal(t, setsAll(t, c.tenant+" statement_timeout"), text.tenantTimed.sql, name)
		require.Equal(t, c.behind, joined(text.tenant.fixed), name)
		require.Equal(t, setsAll(t, c.alone+" statement_timeout"), text.aloneTimed.sql, name)
		require.Equal(t, c.rest, joined(text.aloneTimed.fixed), name)
		if c.alone == "" {
			require.Nil(t, text.alone, name)
		} else {
			require.Equal(t, setsAll(t, c.alone), text.alone.sql, name)
		}
		for _, form := range []*scopeForm{text.tenant, text.tenantTimed, text.aloneTimed} {
			require.True(t, verdictOf(form.sql, false).Plain(), "%s: a scope would cost the connection", name)
		}
	}
	unknown := newScopeText(Config{}, "shop", rootClient, ServerTimeouts{}, 0)
	require.True(t, verdictOf(unknown.aloneTimed.sql, false).Plain(), "a scope would cost the connection: %s", unknown.aloneTimed.sql)
}

// setsAll is the text that sets the settings to $1, $2 and so on, for the transaction.
func setsAll(t *testing.T, settings string) string {
	t.Helper()
	var calls []string
	for i, name := range strings.Fields(settings) {
		calls = append(calls, "pg_catalog.set_config('"+name+"', $"+string(rune('1'+i))+", true)")
	}
	return "select " + strings.Join(calls, ", ")
}

func joined(values [][]byte) string {
	var all []string
	for _, v := range values {
		all = append(all, string(v))
	}
	return strings.Join(all, " ")
}
