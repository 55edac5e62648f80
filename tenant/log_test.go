package tenant_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/tenant"
)

func TestAnIdentityIsLoggedWithoutItsSession(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.InfoLevel)
	log := zap.New(core)
	id := tenant.Identity{Tenant: "acme", User: "u1", Session: "secret"}
	log.Info("object", zap.Object("identity", id))
	log.Info("inline", zap.Inline(id))
	log.Info("no user", zap.Inline(tenant.Identity{Tenant: "acme"}))
	var got []map[string]any
	for _, e := range logs.All() {
		got = append(got, e.ContextMap())
	}
	require.Equal(t, []map[string]any{
		{"identity": map[string]any{"tenant": "acme", "user": "u1"}},
		{"tenant": "acme", "user": "u1"},
		{"tenant": "acme"},
	}, got)
}
