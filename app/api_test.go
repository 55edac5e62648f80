package main

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"

	"github.com/agentagency/onepool/testkit"
)

// caller calls the API as a tenant.
type caller struct {
	t      *testing.T
	server *httptest.Server
	tenant string
}

// newCallers are two tenants of a server of the test's own.
func newCallers(t *testing.T, opts ...fx.Option) (acme, globex caller) {
	t.Helper()
	s := newServer(t, append(opts, testkit.Swap(t))...)
	return caller{t, s, "acme"}, caller{t, s, "globex"}
}

// call returns the answer, which must have the status and these parts.
func (c caller) call(op, body string, status int, parts ...string) map[string]any {
	c.t.Helper()
	method, path, _ := strings.Cut(op, " ")
	got, text := call(c.t, method, c.server.URL+path, c.tenant, body)
	require.Equal(c.t, status, got, "%s as %q: %s", op, c.tenant, text)
	for _, part := range parts {
		require.Contains(c.t, text, part, op)
	}
	if text == "" {
		return nil
	}
	var answer map[string]any
	require.NoError(c.t, json.Unmarshal([]byte(text), &answer))
	if status >= 400 {
		require.NotEmpty(c.t, answer["title"])
		require.NotEmpty(c.t, answer["detail"])
	}
	return answer
}

// id is the id in the answer.
func (c caller) id(op, body string, status int) string {
	c.t.Helper()
	id, ok := c.call(op, body, status)["id"].(string)
	require.True(c.t, ok)
	require.NotEmpty(c.t, id)
	return id
}
