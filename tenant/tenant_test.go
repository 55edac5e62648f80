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

func TestMiddlewareAnswersWithAProblemThatHoldsNoForeignText(t *testing.T) {
	t.Parallel()
	fails := func(err error) func(*http.Request) (tenant.Identity, error) {
		return func(*http.Request) (tenant.Identity, error) { return tenant.Identity{Tenant: "acme"}, err }
	}
	secret := errors.New("dial postgres://app:hunter2@10.0.0.7/auth")
	header := tenant.Header("X-Tenant-ID")
	for _, c := range []struct {
		name       string
		resolve    func(*http.Request) (tenant.Identity, error)
		headers    []string
		wantType   string // empty: passed on
		wantDetail string
	}{
		{"a tenant", header, []string{"acme"}, "", ""},
		{"no header", header, nil, "tenant_required", "set the header X-Tenant-ID"},
		{"an empty header", header, []string{""}, "tenant_invalid", "invalid identity: tenant is blank"},
		{"two headers", header, []string{"acme", "globex"}, "tenant_invalid", "invalid identity: tenant is given by more than one X-Tenant-ID header"},
		{"two that a proxy folded", header, []string{"acme, globex"}, "tenant_invalid", "invalid identity: tenant has a comma in the header X-Tenant-ID: a proxy may have folded two headers into one"},
		{"an over-long one", header, []string{strings.Repeat("x", 300)}, "tenant_invalid", "invalid identity: tenant is longer than 255 bytes"},
		{"a resolver that fails", fails(secret), nil, "internal", ""},
		{"a base domain that is none", tenant.Host("https://shop.example"), nil, "internal", ""},
		{"an unknown tenant", fails(fmt.Errorf("%w: %w", tenant.ErrInvalid, secret)), nil, "tenant_invalid", ""},
		{"a resolver without a tenant", fails(fmt.Errorf("%w: %w", tenant.ErrNoIdentity, secret)), nil, "tenant_required", ""},
		{"a forged token", fails(fmt.Errorf("%w: %w", tenant.ErrUnauthenticated, secret)), nil, "unauthenticated", ""},
		{"a bad claim", fails(fmt.Errorf("%w: %w", secret, &tenant.InvalidError{Field: "user", Reason: "is blank"})), nil, "tenant_invalid", "invalid identity: user is blank"},
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
			if c.wantType == "" {
				require.Equal(t, http.StatusOK, w.Code)
				require.Equal(t, "acme", seen)
				return
			}
			require.Empty(t, seen, "the request was passed on")
			want := http.StatusBadRequest
			switch c.wantType {
			case "unauthenticated":
				want = http.StatusUnauthorized
				require.Equal(t, "Bearer", w.Header().Get("WWW-Authenticate"))
			case "internal":
				want = http.StatusInternalServerError
			}
			require.Equal(t, want, w.Code)
			require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
			require.NotContains(t, w.Body.String(), "hunter2")
			var body struct {
				Type, Title, Detail string
				Status              int
			}
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body))
			require.Equal(t, "/problems/"+c.wantType, body.Type)
			require.NotEmpty(t, body.Title)
			require.Equal(t, want, body.Status)
			require.Equal(t, c.wantDetail, body.Detail)
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
