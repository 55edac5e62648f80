package tenant_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/tenant"
)

func TestValidateNamesTheFieldAndNotItsValue(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", tenant.MaxLength+1)
	for _, c := range []struct {
		name string
		id   tenant.Identity
		want string
	}{
		{"sound", tenant.Identity{Tenant: "acme", User: "u", Session: "s"}, ""},
		{"as long as can be", tenant.Identity{Tenant: long[1:]}, ""},
		{"empty", tenant.Identity{}, "tenant is blank"},
		{"blank", tenant.Identity{Tenant: " \t\n"}, "tenant is blank"},
		{"a user alone", tenant.Identity{User: "u"}, "tenant is blank"},
		{"a long tenant", tenant.Identity{Tenant: long}, "tenant is longer than 255 bytes"},
		{"a long user", tenant.Identity{Tenant: "a", User: long}, "user is longer"},
		{"a long session", tenant.Identity{Tenant: "a", Session: long}, "session is longer"},
		{"a NUL", tenant.Identity{Tenant: "a\x00b"}, "tenant holds a NUL"},
		{"what is seen", tenant.Identity{Tenant: " ä, 部門 '😀' ", User: `\"`, Session: "\ufffd\ue000"}, ""},
		{"a line end", tenant.Identity{Tenant: "a\nlevel=error"}, "tenant holds a control character"},
		{"an escape", tenant.Identity{Tenant: "a", User: "\x1b[2J"}, "user holds a control character"},
		{"a C1 control", tenant.Identity{Tenant: "a", Session: "\u0085"}, "session holds a control character"},
		{"DEL", tenant.Identity{Tenant: "a\x7f"}, "tenant holds"},
		{"a line separator", tenant.Identity{Tenant: "a\u2028"}, "tenant holds"},
		{"a zero-width space", tenant.Identity{Tenant: "ac\u200bme"}, "tenant holds"},
		{"a joiner", tenant.Identity{Tenant: "acme\u200d"}, "tenant holds"},
		{"a byte order mark", tenant.Identity{Tenant: "\ufeffacme"}, "tenant holds"},
		{"another direction", tenant.Identity{Tenant: "\u202eemca"}, "tenant holds"},
		{"a filler", tenant.Identity{Tenant: "acme\u3164"}, "tenant holds"},
		{"a soft hyphen", tenant.Identity{Tenant: "ac\u00adme"}, "tenant holds"},
		{"a variation", tenant.Identity{Tenant: "acme\ufe0f"}, "tenant holds"},
		{"not UTF-8", tenant.Identity{Tenant: "a", User: "\xff"}, "user is not valid UTF-8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := c.id.Validate()
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, tenant.ErrInvalid)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), long)
		})
	}
}

func TestTheInnermostOfIdentityAndSystemCounts(t *testing.T) {
	t.Parallel()
	acme := tenant.NewContext(context.Background(), tenant.Identity{Tenant: "acme"})
	id, ok := tenant.FromContext(acme)
	require.True(t, ok)
	require.Equal(t, "acme", id.Tenant)
	_, ok = tenant.SystemReason(acme)
	require.False(t, ok)

	system := tenant.System(acme, "nightly report")
	_, ok = tenant.FromContext(system)
	require.False(t, ok)
	reason, ok := tenant.SystemReason(system)
	require.True(t, ok)
	require.Equal(t, "nightly report", reason)

	_, ok = tenant.FromContext(context.Background())
	require.False(t, ok)
}

func TestMiddlewareAnswersWhatItCannotResolve(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		resolve  func(*http.Request) (tenant.Identity, error)
		headers  []string
		wantCode string // empty: passed on
	}{
		{"a tenant", tenant.Header("X-Tenant-ID"), []string{"acme"}, ""},
		{"no header", tenant.Header("X-Tenant-ID"), nil, "tenant_required"},
		{"an empty header", tenant.Header("X-Tenant-ID"), []string{""}, "tenant_invalid"},
		{"two headers", tenant.Header("X-Tenant-ID"), []string{"acme", "globex"}, "tenant_invalid"},
		{"two that a proxy folded", tenant.Header("X-Tenant-ID"), []string{"acme, globex"}, "tenant_invalid"},
		{"an over-long one", tenant.Header("X-Tenant-ID"), []string{strings.Repeat("x", 300)}, "tenant_invalid"},
		{"a resolver that fails", func(*http.Request) (tenant.Identity, error) { return tenant.Identity{}, errors.New("bad token") }, []string{"acme"}, "tenant_invalid"},
		{"a forged token", func(*http.Request) (tenant.Identity, error) {
			return tenant.Identity{Tenant: "acme"}, fmt.Errorf("%w: token is expired", tenant.ErrUnauthenticated)
		}, nil, "unauthenticated"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var seen string
			h := tenant.Middleware(c.resolve)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				id, _ := tenant.FromContext(r.Context())
				seen = id.Tenant
			}))
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			for _, v := range c.headers {
				r.Header.Add("X-Tenant-ID", v)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if c.wantCode == "" {
				require.Equal(t, http.StatusOK, w.Code)
				require.Equal(t, "acme", seen)
				return
			}
			require.Empty(t, seen, "the request was passed on")
			want := http.StatusBadRequest
			if c.wantCode == "unauthenticated" {
				want = http.StatusUnauthorized
				require.Equal(t, "Bearer", w.Header().Get("WWW-Authenticate"))
			}
			require.Equal(t, want, w.Code)
			var body struct{ Code, Message string }
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body))
			require.Equal(t, c.wantCode, body.Code)
			require.NotEmpty(t, body.Message)
		})
	}
}

func ExampleNewContext() {
	ctx := tenant.NewContext(context.Background(), tenant.Identity{Tenant: "acme", User: "u1"})
	id, ok := tenant.FromContext(ctx)
	fmt.Println(id.Tenant, id.User, ok)

	_, ok = tenant.FromContext(tenant.System(ctx, "nightly clean-up"))
	fmt.Println(ok)
	// Output:
	// acme u1 true
	// false
}

func TestSystemWithoutAReasonIsNoBypass(t *testing.T) {
	t.Parallel()
	acme := tenant.NewContext(t.Context(), tenant.Identity{Tenant: "acme"})
	for _, blank := range []string{"", " \t\n"} {
		ctx := tenant.System(acme, blank)
		_, ok := tenant.SystemReason(ctx)
		require.False(t, ok, "%q", blank)
		_, ok = tenant.FromContext(ctx)
		require.False(t, ok, "the identity no longer counts")
	}
}
