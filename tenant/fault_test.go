package tenant_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/tenant"
)

// errAway is the error of a resolver whose database is away.
var errAway = errors.New("dial tcp 10.0.0.7:5432:\nconnection refused")

// A database that is away fails every request: the log gets a sample, and callers get no text.
func TestAResolversOwnFaultIsLoggedAsASample(t *testing.T) {
	t.Parallel()
	var lines bytes.Buffer
	resolve := func(r *http.Request) (tenant.Identity, error) {
		if r.URL.Path == "/forged" {
			return tenant.Identity{}, fmt.Errorf("%w: %w", tenant.ErrUnauthenticated, errAway)
		}
		return tenant.Identity{}, errAway
	}
	s := httptest.NewUnstartedServer(tenant.Middleware(resolve)(http.NotFoundHandler()))
	s.Config.ErrorLog = log.New(&lines, "", 0)
	s.Start()
	const n = 50
	for range n {
		for path, want := range map[string]int{"/forged": http.StatusUnauthorized, "/notes": http.StatusInternalServerError} {
			resp, err := http.Get(s.URL + path)
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, want, resp.StatusCode)
			require.NotContains(t, string(body), "10.0.0.7")
		}
	}
	s.Close()
	logged := strings.Split(strings.TrimSpace(lines.String()), "\n")
	require.Contains(t, logged[0], `tenant: the resolver failed for GET "/notes": "dial tcp 10.0.0.7:5432:\nconnection refused"`)
	require.Less(t, len(logged), n/2, "one line a request")
	require.NotContains(t, lines.String(), "forged")
}

func TestACallerThatLeftIsNoFaultOfTheResolver(t *testing.T) {
	t.Parallel()
	var lines bytes.Buffer
	srv := &http.Server{ErrorLog: log.New(&lines, "", 0)}
	h := tenant.Middleware(func(r *http.Request) (tenant.Identity, error) {
		return tenant.Identity{}, fmt.Errorf("ask the database: %w", context.Canceled)
	})(http.NotFoundHandler())
	ctx, leave := context.WithCancel(context.WithValue(t.Context(), http.ServerContextKey, srv))
	request := func() *http.Request {
		return httptest.NewRequest(http.MethodGet, "/notes", nil).WithContext(ctx)
	}
	h.ServeHTTP(httptest.NewRecorder(), request())
	require.Equal(t, 1, strings.Count(lines.String(), "the resolver failed"), "a cancel of another context is a fault")
	leave()
	lines.Reset()
	h = tenant.Middleware(func(r *http.Request) (tenant.Identity, error) { return tenant.Identity{}, r.Context().Err() })(http.NotFoundHandler())
	h.ServeHTTP(httptest.NewRecorder(), request())
	require.Empty(t, lines.String())
}
