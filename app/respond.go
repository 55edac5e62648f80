package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"go.uber.org/zap"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/knowledge"
	"github.com/agentagency/onepool/modules/orchestrator"
	"github.com/agentagency/onepool/tenant"
)

// maxBody is the largest request body that is read.
const maxBody = 1 << 20

// apiError is the body of every answer that is not a success.
type apiError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func respond(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if body != nil {
		_ = json.NewEncoder(w).Encode(body)
	}
}

// classes maps errors to answers, the first match counts.
var classes = []struct {
	err    error
	status int
	code   string
}{
	{fxdb.ErrTenantRequired, http.StatusBadRequest, "tenant_required"},
	{tenant.ErrInvalid, http.StatusBadRequest, "tenant_invalid"},
	{modules.ErrInvalid, http.StatusBadRequest, "invalid"},
	{modules.ErrNotFound, http.StatusNotFound, "not_found"},
	{orchestrator.ErrNotHeld, http.StatusConflict, "not_held"},
	{modules.ErrConflict, http.StatusConflict, "conflict"},
	{modules.ErrReference, http.StatusUnprocessableEntity, "unknown_reference"},
	{knowledge.ErrTooManyCandidates, http.StatusBadRequest, "too_many_candidates"},
	{orchestrator.ErrQueueFull, http.StatusTooManyRequests, "queue_full"},
	{modules.ErrForbidden, http.StatusForbidden, "forbidden"},
	{fxdb.ErrDraining, http.StatusServiceUnavailable, "stopping"},
	{fxdb.ErrNotStarted, http.StatusServiceUnavailable, "not_started"},
	{fxdb.ErrQueueFull, http.StatusServiceUnavailable, "busy"},
	{fxdb.ErrAcquireTimeout, http.StatusServiceUnavailable, "busy"},
	{modules.ErrUnavailable, http.StatusServiceUnavailable, "unavailable"},
	{modules.ErrTimeout, http.StatusGatewayTimeout, "timeout"},
}

// fail answers with the error's class. What a client can't mend is logged and
// answered without its text.
func (h *handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		return // nobody is there to read an answer
	}
	for _, c := range classes {
		if !errors.Is(err, c.err) {
			continue
		}
		message := sentence(err)
		if c.status == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", "1")
		}
		if c.status >= http.StatusInternalServerError {
			h.log.Warn("request failed", zap.String("method", r.Method), zap.String("path", r.URL.Path), zap.Error(err))
			w.Header().Set("Retry-After", "1")
			message = "the database can't answer now, try again"
		}
		respond(w, c.status, apiError{c.code, message})
		return
	}
	h.log.Error("request failed", zap.String("method", r.Method), zap.String("path", r.URL.Path), zap.Error(err))
	respond(w, http.StatusInternalServerError, apiError{"internal", "something went wrong; it is in the log"})
}

// sentence is an error without the client and the operation that stand before
// it: the caller knows what was asked.
func sentence(err error) string {
	text := err.Error()
	if parts := strings.SplitN(text, ": ", 3); len(parts) == 3 {
		return parts[2]
	}
	return text
}

// decode reads one JSON value and nothing else into v.
func decode(w http.ResponseWriter, r *http.Request, v any) error {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if err == nil {
		if _, end := dec.Token(); errors.Is(end, io.EOF) {
			return nil
		}
		err = errors.New("there is something behind the JSON value")
	}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return &requestError{http.StatusRequestEntityTooLarge, apiError{"too_large", fmt.Sprintf("the body is larger than %d bytes", tooLarge.Limit)}}
	case errors.Is(err, io.EOF):
		return badRequest("the body is empty: send a JSON object")
	}
	return badRequest("the body can't be used: " + strings.TrimPrefix(err.Error(), "json: "))
}

// requestError is an answer that was decided before any client was asked.
type requestError struct {
	status int
	body   apiError
}

func (e *requestError) Error() string { return e.body.Message }

func badRequest(message string) error {
	return &requestError{http.StatusBadRequest, apiError{"invalid", message}}
}

// answer is a handler that may fail.
func (h *handler) answer(fn func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := fn(w, r)
		var refused *requestError
		switch {
		case err == nil:
		case errors.As(err, &refused):
			respond(w, refused.status, refused.body)
		default:
			h.fail(w, r, err)
		}
	})
}
