package main

import (
	"context"
	"net/http"
	"net/url"
	"reflect"

	"github.com/agentagency/onepool/modules"
)

// endpoint serves a route.
type endpoint struct {
	serve   func(http.ResponseWriter, *http.Request) error
	status  int          // of a success
	in, out reflect.Type // the types of bind's input and of the answer; nil: none
}

// gives answers 200 with the result of fn for the bound request.
func gives[In, Out any](fn func(context.Context, In) (Out, error)) endpoint {
	return makes(http.StatusOK, nil, fn)
}

// reads is gives for an fn that needs only the tenant.
func reads[Out any](fn func(context.Context) (Out, error)) endpoint {
	return gives(func(ctx context.Context, _ nothing) (Out, error) { return fn(ctx) })
}

// readsOf is gives for an fn that needs an id.
func readsOf[Out any](fn func(ctx context.Context, id string) (Out, error)) endpoint {
	return gives(func(ctx context.Context, in byID) (Out, error) { return fn(ctx, in.ID) })
}

// makes answers with the given status, and sets the new object's Location unless at is nil.
func makes[In, Out any](status int, at func(Out) string, fn func(context.Context, In) (Out, error)) endpoint {
	serve := func(w http.ResponseWriter, r *http.Request) error {
		var in In
		if err := bind(w, r, &in); err != nil {
			return err
		}
		out, err := fn(r.Context(), in)
		if err != nil {
			return err
		}
		if at != nil {
			w.Header().Set("Location", at(out))
		}
		return respond(w, status, out)
	}
	return endpoint{serve, status, reflect.TypeFor[In](), reflect.TypeFor[Out]()}
}

// does answers 204.
func does[In any](fn func(context.Context, In) error) endpoint {
	serve := func(w http.ResponseWriter, r *http.Request) error {
		var in In
		if err := bind(w, r, &in); err != nil {
			return err
		}
		if err := fn(r.Context(), in); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return endpoint{serve, http.StatusNoContent, reflect.TypeFor[In](), nil}
}

// The inputs and outputs that endpoints share.
type (
	nothing struct{}
	byID    struct {
		ID string `path:"id"`
	}
	posted[T any]   struct{ Body T }
	postedTo[T any] struct {
		ID   string `path:"id"`
		Body T
	}
	// calledOn is an input with an id and an optional body.
	calledOn[T any] struct {
		ID   string `path:"id"`
		Body T      `body:"optional"`
	}
	// listed asks for a page of a list.
	listed struct {
		Limit int    `query:"limit"`
		After string `query:"after"`
	}
	// listedOf asks for a page of a list below an id.
	listedOf struct {
		ID    string `path:"id"`
		Limit int    `query:"limit"`
		After string `query:"after"`
	}
	// listedBy asks for a page of the rows in a status.
	listedBy[S ~string] struct {
		Status S      `query:"status"`
		Limit  int    `query:"limit"`
		After  string `query:"after"`
	}
	// made is the id of the stored row.
	made struct {
		ID string `json:"id"`
	}
	// affected is how many rows were.
	affected struct {
		Count int64 `json:"count"`
	}
)

// at returns the Location of a made row below a path.
func at(path string) func(made) string {
	return func(m made) string { return path + url.PathEscape(m.ID) }
}

// pageSize is the default length of a list, maxPage the largest.
const (
	pageSize = modules.DefaultPage
	maxPage  = modules.MaxPage
)

// list is never null in JSON.
func list[T any](v []T) []T {
	if v == nil {
		return []T{}
	}
	return v
}
