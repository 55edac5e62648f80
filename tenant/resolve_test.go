package tenant_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/tenant"
)

// at is a request for the host, as net/http hands it on.
func at(host string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Host = host
	return r
}

func TestHost(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 63)
	for _, c := range []struct {
		host, want string
		err        error // nil: want is the tenant
		reason     string
	}{
		{host: "acme.shop.example", want: "acme"},
		{host: "acme.shop.example:8443", want: "acme"},
		{host: "acme.shop.example:", want: "acme"},
		{host: "acme.shop.example.", want: "acme"},
		{host: "acme.shop.example.:80", want: "acme"},
		{host: "ACME.Shop.EXAMPLE", want: "acme"},
		{host: "a-1.shop.example", want: "a-1"},
		{host: "7.shop.example", want: "7"},
		{host: long + ".shop.example", want: long},

		{host: "shop.example", err: tenant.ErrNoIdentity, reason: "put the tenant before shop.example"},
		{host: "SHOP.example:80", err: tenant.ErrNoIdentity},

		{host: "", err: tenant.ErrInvalid, reason: "ASCII"},
		{host: ".", err: tenant.ErrInvalid},
		{host: "example", err: tenant.ErrInvalid, reason: "not below shop.example"},
		{host: "acme.shop.example.evil.test", err: tenant.ErrInvalid, reason: "not below"},
		{host: "acmeshop.example", err: tenant.ErrInvalid, reason: "not below"},
		{host: "evil.test/acme.shop.example", err: tenant.ErrInvalid, reason: "ASCII"},
		{host: "acme@shop.example", err: tenant.ErrInvalid},
		{host: ".shop.example", err: tenant.ErrInvalid, reason: "not a label"},
		{host: "acme..shop.example", err: tenant.ErrInvalid, reason: "more than one label"},
		{host: "a.b.shop.example", err: tenant.ErrInvalid, reason: "more than one label"},
		{host: "acme.shop.example..", err: tenant.ErrInvalid},
		{host: "-acme.shop.example", err: tenant.ErrInvalid, reason: "not a label"},
		{host: "acme-.shop.example", err: tenant.ErrInvalid, reason: "not a label"},
		{host: long + "x.shop.example", err: tenant.ErrInvalid, reason: "not a label"},
		{host: "ac_me.shop.example", err: tenant.ErrInvalid, reason: "ASCII"},
		{host: "*.shop.example", err: tenant.ErrInvalid, reason: "ASCII"},
		{host: "ac%6De.shop.example", err: tenant.ErrInvalid},
		{host: "ac me.shop.example", err: tenant.ErrInvalid},
		{host: "acme\x00.shop.example", err: tenant.ErrInvalid},
		{host: "äcme.shop.example", err: tenant.ErrInvalid, reason: "ASCII"},
		{host: "аcme.shop.example", err: tenant.ErrInvalid, reason: "ASCII"}, // a Cyrillic a
		{host: "xn--cme-qla.shop.example", err: tenant.ErrInvalid, reason: "internationalized"},
		{host: "XN--cme-qla.shop.example", err: tenant.ErrInvalid, reason: "internationalized"},
		{host: "acme.shop.example:http", err: tenant.ErrInvalid},
		{host: "acme.shop.example:80:81", err: tenant.ErrInvalid},
		{host: "127.0.0.1:80", err: tenant.ErrInvalid, reason: "not below"},
		{host: "[::1]:80", err: tenant.ErrInvalid, reason: "ASCII"},
	} {
		t.Run(c.host, func(t *testing.T) {
			t.Parallel()
			id, err := tenant.Host("shop.example")(at(c.host))
			if c.err == nil {
				require.NoError(t, err)
				require.Equal(t, tenant.Identity{Tenant: c.want}, id)
				return
			}
			require.ErrorIs(t, err, c.err)
			require.ErrorContains(t, err, c.reason)
			require.Zero(t, id)
		})
	}
}

func TestHostTakesABaseDomainAsPeopleWriteIt(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"shop.example", ".shop.example", "Shop.Example.", "localhost"} {
		id, err := tenant.Host(base)(at("acme." + strings.Trim(base, ".")))
		require.NoError(t, err, base)
		require.Equal(t, "acme", id.Tenant)
	}
	for _, base := range []string{"", ".", "shop..example", "shop.example:80", "https://shop.example", "-shop.example", "*.example", "münchen.example"} {
		for _, host := range []string{"acme." + base, base, "acme", ""} {
			_, err := tenant.Host(base)(at(host))
			require.ErrorContains(t, err, "the base domain", "%q at %q", base, host)
			require.NotErrorIs(t, err, tenant.ErrInvalid, "no fault of the caller")
		}
	}
}

// Whatever the host, there is an error or a tenant that this host alone has.
func FuzzHost(f *testing.F) {
	for _, host := range []string{"acme.shop.example:80", "A.shop.example.", "shop.example", "a.b.shop.example", "xn--a.shop.example", "[::1]:80", "ä.shop.example", "\xff.shop.example", ":", "acme.shop.example:1:2"} {
		f.Add(host)
	}
	resolve := tenant.Host("shop.example")
	label := regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	f.Fuzz(func(t *testing.T, host string) {
		id, err := resolve(at(host))
		if err != nil {
			require.Zero(t, id)
			var invalid *tenant.InvalidError
			require.True(t, errors.As(err, &invalid) || errors.Is(err, tenant.ErrNoIdentity), "%v", err)
			require.NotContains(t, err.Error(), "\x00")
			return
		}
		require.NoError(t, id.Validate())
		require.Regexp(t, label, id.Tenant)
		require.False(t, strings.HasPrefix(id.Tenant, "xn--"))
		name, _, _ := strings.Cut(host, ":")
		require.Equal(t, id.Tenant+".shop.example", strings.TrimSuffix(strings.ToLower(name), "."))
	})
}

func ExampleHost() {
	h := tenant.Middleware(tenant.Host("shop.example"))(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := tenant.FromContext(r.Context())
		fmt.Fprintf(w, "hello %s\n", id.Tenant)
	}))
	for _, host := range []string{"Acme.shop.example:8443", "shop.example", "a.b.shop.example"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, at(host))
		fmt.Print(w.Code, " ", w.Body)
	}
	// Output:
	// 200 hello acme
	// 400 {"type":"/problems/tenant_required","title":"The request names no tenant","status":400,"detail":"put the tenant before shop.example"}
	// 400 {"type":"/problems/tenant_invalid","title":"The tenant's name can't be used","status":400,"detail":"invalid identity: tenant has more than one label before shop.example"}
}
