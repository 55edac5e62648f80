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
			cfg: Config{Pooler: "transaction", fences: []setting{{"lock_timeout", "5"}}}, client: rootClient,
			tenant: identity + " lock_timeout", behind: "5", alone: identity + " lock_timeout", rest: "   5",
		},
	} {
		text := newScopeText(c.cfg, "shop", c.client, c.limits)
		require.Equal(t, setConfigs(t, c.tenant), text.tenant, name)
		require.Equal(t, c.behind, joined(text.behind), name)
		if c.alone == "" {
			require.Empty(t, text.alone, name)
			continue
		}
		require.Equal(t, setConfigs(t, c.alone), text.alone, name)
		require.Equal(t, c.rest, joined(text.rest), name)
		for _, sql := range []string{text.tenant, text.alone} {
			require.True(t, verdictOf(sql, false).Plain(), "%s: a scope would cost the connection", name)
		}
	}
}

// setConfigs is the text that sets the settings to $1, $2 and so on, for the transaction.
func setConfigs(t *testing.T, settings string) string {
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
