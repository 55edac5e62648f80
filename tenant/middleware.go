package tenant

import (
	"encoding/json"
	"errors"
	"net/http"
)

// ErrNoIdentity is the error of a resolver for a request that names no tenant.
var ErrNoIdentity = errors.New("no tenant in the request")

// ErrUnauthenticated is the error of a resolver for a request that does not prove its identity:
// a token is missing, forged or expired.
var ErrUnauthenticated = errors.New("unauthenticated")

// Middleware puts the identity that resolve finds in a request into the request's context. If
// resolve fails, or the identity is not valid, Middleware does not call next and answers with a
// JSON body {"code","message"}: 401 and "unauthenticated" for [ErrUnauthenticated], 400 and
// "tenant_required" for [ErrNoIdentity], else 400 and "tenant_invalid". message is the error's
// text, so the text must hold no secret.
//
// resolve decides whom to trust: a header is only as good as the proxy that sets the header.
func Middleware(resolve func(*http.Request) (Identity, error)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			id, err := resolve(r)
			if err == nil {
				err = id.Validate()
			}
			if err != nil {
				refuse(w, err)
				return
			}
			next.ServeHTTP(w, r.WithContext(NewContext(r.Context(), id)))
		})
	}
}

func refuse(w http.ResponseWriter, err error) {
	status, code := http.StatusBadRequest, "tenant_invalid"
	switch {
	case errors.Is(err, ErrUnauthenticated):
		status, code = http.StatusUnauthorized, "unauthenticated"
		w.Header().Set("WWW-Authenticate", "Bearer") // a 401 must name a scheme
	case errors.Is(err, ErrNoIdentity):
		code = "tenant_required"
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"code": code, "message": err.Error()})
}
