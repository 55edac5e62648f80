package tenant

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// ErrNoIdentity is what a resolver returns when a request names no tenant.
var ErrNoIdentity = errors.New("no tenant in the request")

// Middleware puts the identity that resolve finds in a request into its
// context. When resolve fails, or the identity is not valid, the request is
// answered with 400 and a JSON body {"code","message"}, and next is not called.
//
// resolve decides whom to believe: a header is only as good as the proxy that
// sets it.
func Middleware(resolve func(*http.Request) (Identity, error)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			id, err := resolve(r)
			if err == nil {
				err = id.Validate()
			}
			if err != nil {
				code := "tenant_invalid"
				if errors.Is(err, ErrNoIdentity) {
					code = "tenant_required"
				}
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusBadRequest)
				_ = json.NewEncoder(w).Encode(map[string]string{"code": code, "message": err.Error()})
				return
			}
			next.ServeHTTP(w, r.WithContext(NewContext(r.Context(), id)))
		})
	}
}

// Header returns a resolver that takes the tenant from the named header. A
// request without it fails with ErrNoIdentity.
func Header(name string) func(*http.Request) (Identity, error) {
	return func(r *http.Request) (Identity, error) {
		v := r.Header.Values(name)
		switch len(v) {
		case 0:
			return Identity{}, fmt.Errorf("%w: set the header %s", ErrNoIdentity, name)
		case 1:
			return Identity{Tenant: v[0]}, nil
		}
		// Which of several a proxy has set can't be told.
		return Identity{}, &InvalidError{"tenant", "is given by more than one " + name + " header"}
	}
}
