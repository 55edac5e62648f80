package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"reflect"
	"strings"
)

// maxBody is the size limit of a request body, in bytes.
const maxBody = 1 << 20

// decode reads the body, a single JSON value, into the value behind v. A caller may leave out
// an optional body.
func decode(w http.ResponseWriter, r *http.Request, v any, optional bool) error {
	raw, err := readBody(w, r)
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(raw)) == 0 {
		if optional {
			return nil
		}
		return badRequest("the body is empty: send a JSON object")
	}
	if err := checkMedia(w, r); err != nil {
		return err
	}
	if err := checkShape(raw, reflect.TypeOf(v).Elem()); err != nil {
		return err
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return badRequest("the body can't be used: " + strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

// readBody reads the body. The text of a failed read holds the connection's addresses, so
// readBody keeps the text from the caller.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case err == nil:
		return raw, nil
	case errors.As(err, &large):
		return nil, &requestError{tooLarge, fmt.Sprintf("the body is larger than %d bytes", large.Limit)}
	case errors.Is(err, os.ErrDeadlineExceeded):
		w.Header().Set("Connection", "close")
		return nil, &requestError{slowBody, "the body did not arrive in time: send it at once"}
	}
	w.Header().Set("Connection", "close")
	return nil, badRequest("the body did not arrive whole")
}

// checkMedia refuses a body of any type but plain JSON. A browser sends other types to a
// foreign server without a preflight request.
func checkMedia(w http.ResponseWriter, r *http.Request) error {
	media, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset := strings.ToLower(parameters["charset"])
	if err != nil || media != "application/json" || charset != "" && charset != "utf-8" {
		w.Header().Set("Accept", "application/json")
		return &requestError{unsupportedMedia, "send the body with Content-Type: application/json"}
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		w.Header().Set("Accept-Encoding", "identity")
		return &requestError{unsupportedMedia, "send the body without a Content-Encoding"}
	}
	return nil
}
