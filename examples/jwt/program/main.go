// JWT: a service whose tenant is a verified claim of a token.
//
//	go -C examples/jwt/program run .
//
// The program starts a throwaway server and the service, calls the service with valid and
// with forged tokens of two tenants, and ends.
package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/tenant"
)

func main() {
	if err := demonstrate(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Module is the application: the pool, a client of the pool, and the handler.
var Module = fx.Options(
	fxdb.Module,
	fxdb.Migrations("notes", migrations),
	fxdb.Client("notes", NewNotes, fxdb.RequireTenant()),
	fx.Provide(newHandler),
)

// newHandler accepts a request if the issuer has signed the token.
func newHandler(notes *Notes, issuerKey ed25519.PublicKey) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /notes", tenant.Middleware(fromToken(issuerKey))(notes))
	return mux
}

// demonstrate runs and calls the application, and fails if an answer is wrong.
func demonstrate(ctx context.Context, out io.Writer) (err error) {
	// The service has only the public key: the service checks tokens and signs none.
	issuerKey, sign, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	_, forge, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	var address string
	app := fx.New(Module, devdb.Module, fx.NopLogger, fx.Supply(issuerKey),
		fx.Invoke(func(lc fx.Lifecycle, h http.Handler) { serve(lc, h, &address) }))
	if err := app.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, app.Stop(ctx)) }()

	const lifetime = 5 * time.Minute
	for _, call := range []struct {
		what, token string
		want        int
	}{
		{"ann of acme", token(sign, "acme", "ann", lifetime), http.StatusOK},
		{"bob of acme", token(sign, "acme", "bob", lifetime), http.StatusOK},
		{"eve of globex", token(sign, "globex", "eve", lifetime), http.StatusOK},
		{"a forged token for acme", token(forge, "acme", "eve", lifetime), http.StatusUnauthorized},
		{"ann's token of yesterday", token(sign, "acme", "ann", -24*time.Hour), http.StatusUnauthorized},
		{"no token", "", http.StatusUnauthorized},
	} {
		status, body, err := post(ctx, "http://"+address+"/notes", call.token, "hello")
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%-25s %d %s\n", call.what, status, body)
		if status != call.want {
			return fmt.Errorf("%s was answered with %d, want %d", call.what, status, call.want)
		}
	}
	return nil
}

// token returns a signed token, as an identity provider issues tokens to users.
func token(key ed25519.PrivateKey, tenantID, user string, lifetime time.Duration) string {
	c := claims{Tenant: tenantID, RegisteredClaims: jwt.RegisteredClaims{
		Issuer: issuer, Audience: jwt.ClaimStrings{audience}, Subject: user, ExpiresAt: jwt.NewNumericDate(time.Now().Add(lifetime)),
	}}
	signed, err := jwt.NewWithClaims(jwt.SigningMethodEdDSA, c).SignedString(key)
	if err != nil {
		panic(err) // the key is valid
	}
	return signed
}

func post(ctx context.Context, to, token, note string) (status int, body string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(url.Values{"body": {note}}.Encode()))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Tenant-ID", "acme") // the service ignores the header
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, strings.TrimSpace(string(b)), err
}

// serve listens on a free port between OnStart and OnStop.
func serve(lc fx.Lifecycle, h http.Handler, address *string) {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	done := make(chan struct{})
	lc.Append(fx.Hook{
		OnStart: func(ctx context.Context) error {
			ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			*address = ln.Addr().String()
			go func() {
				defer close(done)
				_ = srv.Serve(ln) // ErrServerClosed
			}()
			return nil
		},
		OnStop: func(ctx context.Context) error {
			// Requests in flight get half of the time: a request that hangs would take all the
			// time, and fx would skip the later hooks.
			if deadline, ok := ctx.Deadline(); ok {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
				defer cancel()
			}
			err := srv.Shutdown(ctx)
			if err != nil {
				err = errors.Join(fmt.Errorf("requests did not end in time: %w", err), srv.Close())
			}
			<-done
			return err
		},
	})
}
