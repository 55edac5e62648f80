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
// problem of RFC 9457 (application/problem+json):
//
//	error                type                        status
//	ErrUnauthenticated   /problems/unauthenticated   401
//	ErrNoIdentity        /problems/tenant_required   400
//	ErrInvalid           /problems/tenant_invalid    400
//	any other            /problems/internal          500
//
// The types never change. For a fault of the caller, for example an unknown tenant, resolve
// returns or wraps one of the three errors. Every further error is a fault of resolve, for
// example of the database that resolve asks. Middleware logs such errors to the ErrorLog of the
// [http.Server], or to package log without an ErrorLog: at most one line a second.
//
// The answer holds no text of resolve: only an [InvalidError] and the errors of [Header] and
// [Host] give the problem a detail.
//
// resolve decides whom to trust: a header is only as good as the proxy that sets the header.
func Middleware(resolve func(*http.Request) (Identity, error)) func(http.Handler) http.Handler {
	var faults faultLog
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			id, err := resolve(r)
			if err == nil {
				err = id.Validate()
			}
			if err == nil {
				next.ServeHTTP(w, r.WithContext(NewContext(r.Context(), id)))
				return
			}
			if refuse(w, err) == http.StatusInternalServerError {
				faults.write(r, err)
			}
		})
	}
}

// problem is the body of a refusal, as RFC 9457 has the body.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
}

// refuse answers with a problem, and returns the status. The text of an error that this package
// did not make stays out of the answer: the text may hold a token or the address of a server.
func refuse(w http.ResponseWriter, err error) int {
	p := problem{Type: "/problems/internal", Title: "Something went wrong", Status: http.StatusInternalServerError}
	var invalid *InvalidError
	var missing *missingError
	switch {
	case errors.Is(err, ErrUnauthenticated):
		p = problem{Type: "/problems/unauthenticated", Title: "The request does not prove its identity", Status: http.StatusUnauthorized}
		w.Header().Set("WWW-Authenticate", "Bearer") // a 401 must name a scheme
	case errors.Is(err, ErrNoIdentity):
		p = problem{Type: "/problems/tenant_required", Title: "The request names no tenant", Status: http.StatusBadRequest}
		if errors.As(err, &missing) {
			p.Detail = missing.hint
		}
	case errors.Is(err, ErrInvalid):
		p = problem{Type: "/problems/tenant_invalid", Title: "The tenant's name can't be used", Status: http.StatusBadRequest}
		if errors.As(err, &invalid) {
			p.Detail = invalid.Error()
		}
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
	return p.Status
}

// missingError is an [ErrNoIdentity] of this package's resolvers.
type missingError struct{ hint string }

func (e *missingError) Error() string { return ErrNoIdentity.Error() + ": " + e.hint }

func (e *missingError) Is(target error) bool { return target == ErrNoIdentity }
