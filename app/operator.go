package main

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"strings"
)

// operatorToken is the token of an operator's requests, sent as "Authorization: Bearer".
type operatorToken string

type operatorKey struct{}

// mark marks the context of an operator's request.
func (token operatorToken) mark(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token.admits(r) {
			r = r.WithContext(context.WithValue(r.Context(), operatorKey{}, true))
		}
		next.ServeHTTP(w, r)
	})
}

func isOperator(ctx context.Context) bool { return ctx.Value(operatorKey{}) != nil }

// admits reports whether an operator asks: a caller with the token or, if no token is set, a
// caller on the same machine. A request from a proxy or a tenant is no operator's request.
func (token operatorToken) admits(r *http.Request) bool {
	if token != "" {
		given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		want, got := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(given)) // of equal length
		return ok && subtle.ConstantTimeCompare(want[:], got[:]) == 1
	}
	for _, sentOn := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via", tenantHeader} {
		if len(r.Header.Values(sentOn)) > 0 {
			return false
		}
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	return err == nil && net.ParseIP(host).IsLoopback()
}
