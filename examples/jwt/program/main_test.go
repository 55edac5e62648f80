package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"
	"go.uber.org/goleak"

	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// The test kit's server connection lives as long as the process.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/agentagency/onepool/testkit.init.OnceValues[...].func1"),
		goleak.IgnoreTopFunction("github.com/jackc/pgx/v5/pgxpool.(*Pool).backgroundHealthCheck"),
		goleak.IgnoreAnyFunction("github.com/agentagency/onepool/fxdb/devdb.(*supervisor).watch"))
}

func keys(t *testing.T) (ed25519.PublicKey, ed25519.PrivateKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	return public, private
}

func TestWhatTheProgramPrints(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, demonstrate(t.Context(), &out))
	require.Equal(t, `ann of acme               200 [{"author":"ann","body":"hello"}]
bob of acme               200 [{"author":"ann","body":"hello"},{"author":"bob","body":"hello"}]
eve of globex             200 [{"author":"eve","body":"hello"}]
a forged token for acme   401 {"type":"/problems/unauthenticated","title":"The request does not prove its identity","status":401}
ann's token of yesterday  401 {"type":"/problems/unauthenticated","title":"The request does not prove its identity","status":401}
no token                  401 {"type":"/problems/unauthenticated","title":"The request does not prove its identity","status":401}
`, out.String())
}

func TestOnlyTheIssuersTokensNameATenant(t *testing.T) {
	t.Parallel()
	public, private := keys(t)
	_, forger := keys(t)
	now := time.Now()
	with := func(change func(*claims)) claims {
		c := claims{Tenant: "acme", RegisteredClaims: jwt.RegisteredClaims{
			Issuer: issuer, Audience: jwt.ClaimStrings{audience}, Subject: "ann", ExpiresAt: jwt.NewNumericDate(now.Add(time.Hour)),
		}}
		change(&c)
		return c
	}
	sign := func(method jwt.SigningMethod, key any, change func(*claims)) string {
		s, err := jwt.NewWithClaims(method, with(change)).SignedString(key)
		require.NoError(t, err)
		return s
	}
	sound := sign(jwt.SigningMethodEdDSA, private, func(*claims) {})
	parts := strings.Split(sound, ".")
	payload, err := json.Marshal(with(func(c *claims) { c.Tenant = "globex" }))
	require.NoError(t, err)
	header := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

	for name, c := range map[string]struct {
		authorization string
		err           error // nil: ann of acme
	}{
		"sound":                    {"Bearer " + sound, nil},
		"the scheme in lower case": {"bearer " + sound, nil},
		"another tenant put in":    {"Bearer " + parts[0] + "." + base64.RawURLEncoding.EncodeToString(payload) + "." + parts[2], tenant.ErrUnauthenticated},
		"no signature":             {"Bearer " + parts[0] + "." + parts[1] + ".", tenant.ErrUnauthenticated},
		"alg none":                 {"Bearer " + sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, func(*claims) {}), tenant.ErrUnauthenticated},
		"alg None":                 {"Bearer " + header(`{"alg":"None","typ":"JWT"}`) + "." + parts[1] + ".", tenant.ErrUnauthenticated},
		"HMAC with the public key": {"Bearer " + sign(jwt.SigningMethodHS256, []byte(public), func(*claims) {}), tenant.ErrUnauthenticated},
		"another's key":            {"Bearer " + sign(jwt.SigningMethodEdDSA, forger, func(*claims) {}), tenant.ErrUnauthenticated},
		"expired":                  {"Bearer " + sign(jwt.SigningMethodEdDSA, private, func(c *claims) { c.ExpiresAt = jwt.NewNumericDate(now.Add(-time.Minute)) }), tenant.ErrUnauthenticated},
		"never expiring":           {"Bearer " + sign(jwt.SigningMethodEdDSA, private, func(c *claims) { c.ExpiresAt = nil }), tenant.ErrUnauthenticated},
		"not yet":                  {"Bearer " + sign(jwt.SigningMethodEdDSA, private, func(c *claims) { c.NotBefore = jwt.NewNumericDate(now.Add(time.Hour)) }), tenant.ErrUnauthenticated},
		"another issuer":           {"Bearer " + sign(jwt.SigningMethodEdDSA, private, func(c *claims) { c.Issuer = "https://evil.example" }), tenant.ErrUnauthenticated},
		"another service's":        {"Bearer " + sign(jwt.SigningMethodEdDSA, private, func(c *claims) { c.Audience = jwt.ClaimStrings{"billing"} }), tenant.ErrUnauthenticated},
		"no tenant":                {"Bearer " + sign(jwt.SigningMethodEdDSA, private, func(c *claims) { c.Tenant = "" }), tenant.ErrNoIdentity},
		"nothing":                  {"", tenant.ErrUnauthenticated},
		"another scheme":           {"Basic YW5uOmhlbGxv", tenant.ErrUnauthenticated},
		"garbage":                  {"Bearer a.b.c", tenant.ErrUnauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodPost, "/notes", nil)
			r.Header.Set("X-Tenant-ID", "globex")
			if c.authorization != "" {
				r.Header.Set("Authorization", c.authorization)
			}
			id, err := fromToken(public)(r)
			if c.err == nil {
				require.NoError(t, err)
				require.Equal(t, tenant.Identity{Tenant: "acme", User: "ann"}, id)
				return
			}
			require.ErrorIs(t, err, c.err)
			require.Zero(t, id)
		})
	}
}

func TestARequestThatIsRefusedStoresNothing(t *testing.T) {
	t.Parallel()
	public, private := keys(t)
	_, forger := keys(t)
	var h http.Handler
	var notes *Notes
	app := fxtest.New(t, Module, testkit.Swap(t), fx.Supply(public), fx.Populate(&h, &notes))
	app.RequireStart()
	defer app.RequireStop()

	for _, signed := range []string{token(forger, "acme", "eve", time.Hour), token(private, "acme", "ann", -time.Hour), "", token(private, "acme", "ann", time.Hour)} {
		r := httptest.NewRequest(http.MethodPost, "/notes", strings.NewReader(url.Values{"body": {"hello"}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if signed != "" {
			r.Header.Set("Authorization", "Bearer "+signed)
		}
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	all, err := notes.Add(tenant.NewContext(t.Context(), tenant.Identity{Tenant: "acme", User: "bob"}), "second")
	require.NoError(t, err)
	require.Equal(t, []Note{{"ann", "hello"}, {"bob", "second"}}, all, "the sound request's alone")
}
