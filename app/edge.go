package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"regexp"

	"go.uber.org/zap"

	"github.com/agentagency/onepool/tenant"
)

const requestIDHeader = "X-Request-Id"

// ServeHTTP serves every request.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := requestID(r)
	header := w.Header()
	header.Set(requestIDHeader, id)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	if len(r.TransferEncoding) > 0 {
		// net/http has removed a Content-Length beside the Transfer-Encoding, so every chunked
		// request may hide a second request.
		header.Set("Connection", "close")
	}
	r = r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id))
	defer h.answerPanic(w, r)
	if asked := r.URL.EscapedPath(); asked != path.Clean(asked) {
		h.answer(nothingThere).ServeHTTP(w, r) // the mux would send the caller elsewhere
		return
	}
	h.mux.ServeHTTP(w, r)
}

// answerPanic answers a request whose handler has panicked. The mux has set the pattern of r.
func (h *handler) answerPanic(w http.ResponseWriter, r *http.Request) {
	switch p := recover(); p {
	case nil:
	case http.ErrAbortHandler: // drops the connection
		panic(p)
	default:
		h.log.Error("request panicked", append(requestFields(r), zap.String("panic", fmt.Sprint(p)), zap.Stack("stack"))...)
		refuse(r.Context(), w, internal, seeLog)
	}
}

// requestFields identify a request in the log. The route stands for the path, because the path
// may hold a tenant's text.
func requestFields(r *http.Request) []zap.Field {
	return []zap.Field{zap.String("route", r.Pattern), zap.String("request_id", requestIDOf(r.Context()))}
}

type requestIDKey struct{}

// requestIDOf returns the request's id from a context.
func requestIDOf(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// traceparent is the header of W3C Trace Context, in the first version and in later versions.
var traceparent = regexp.MustCompile(`^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(-|$)`)

// requestID returns the trace's id if the caller traces, or a new id of the same form.
func requestID(r *http.Request) string {
	if found := traceparent.FindStringSubmatch(r.Header.Get("Traceparent")); found != nil && found[1] != noTrace {
		return found[1]
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // rand.Read never fails
	return hex.EncodeToString(id[:])
}

const noTrace = "00000000000000000000000000000000"

// scoped gives a handler the tenant of the request.
func (h *handler) scoped(next http.Handler) http.Handler {
	resolve := tenant.Header(tenantHeader)
	return h.answer(func(w http.ResponseWriter, r *http.Request) error {
		id, err := resolve(r)
		if err == nil {
			err = id.Validate()
		}
		if err != nil {
			return err
		}
		next.ServeHTTP(w, r.WithContext(tenant.NewContext(r.Context(), id)))
		return nil
	})
}
