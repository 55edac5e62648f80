package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"go.uber.org/zap"
)

// respond answers with a value. respond encodes first: if encoding fails, respond has sent no
// status, and returns the error.
func respond(w http.ResponseWriter, status int, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(raw, '\n'))
	return nil
}

// answer returns a handler for a function that may fail.
func (h *handler) answer(fn func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := fn(w, r)
		var refused *requestError
		switch {
		case err == nil:
		case errors.As(err, &refused):
			refuse(r.Context(), w, refused.class, refused.detail)
		default:
			h.fail(w, r, err)
		}
	})
}

// fail answers with the error's class. If the caller can't mend the error, the log has the
// error's text and the answer does not.
func (h *handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		return // nobody reads the answer any more
	}
	fields := append(requestFields(r), zap.Error(err))
	for _, c := range classOf {
		switch {
		case !errors.Is(err, c.err):
			continue
		case c.status < http.StatusInternalServerError:
			refuse(r.Context(), w, c.class, detailOf(err))
		default:
			h.outage.warn("request failed", fields...)
			refuse(r.Context(), w, c.class, "the database can't answer now: try again")
		}
		return
	}
	h.log.Error("request failed", fields...)
	refuse(r.Context(), w, internal, seeLog)
}

const seeLog = "something went wrong: the log has it under this request_id"
