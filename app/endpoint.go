package main

import (
	"context"
	"net/http"
	"reflect"
)

// endpoint answers one route.
type endpoint struct {
	serve   func(http.ResponseWriter, *http.Request) error
	status  int          // of a success
	in, out reflect.Type // what bind fills, and what is answered: nil for nothing
}

// gives answers 200 with what fn returns for the request that is bound to its In.
func gives[In, Out any](fn func(context.Context, In) (Out, error)) endpoint {
	return makes(http.StatusOK, nil, fn)
}

// tells is gives for what needs nothing but the tenant.
func tells[Out any](fn func(context.Context) (Out, error)) endpoint {
	return gives(func(ctx context.Context, _ nothing) (Out, error) { return fn(ctx) })
}

// tellsOf is gives for what has an id.
func tellsOf[Out any](fn func(ctx context.Context, id string) (Out, error)) endpoint {
	return gives(func(ctx context.Context, in byID) (Out, error) { return fn(ctx, in.ID) })
}

// makes answers with another status, and says where the thing made is, unless at is
// nil.
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

// What many endpoints take and give.
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
	// calledOn is something that an id is enough for: the body may be left out.
	calledOn[T any] struct {
		ID   string `path:"id"`
		Body T      `body:"optional"`
	}
	listed struct {
		Limit int    `query:"limit"`
		After string `query:"after"`
	}
	// made is the id of what was stored.
	made struct {
		ID string `json:"id"`
	}
	// affected is how many rows were.
	affected struct {
		Count int64 `json:"count"`
	}
)

// pageSize is how many things a list holds unless the caller says otherwise, maxPage
// how many it holds at most.
const (
	pageSize = 100
	maxPage  = 1000
)

// list is never null in JSON.
func list[T any](v []T) []T {
	if v == nil {
		return []T{}
	}
	return v
}
