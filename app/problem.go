package main

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/knowledge"
	"github.com/agentagency/onepool/modules/orchestrator"
	"github.com/agentagency/onepool/tenant"
)

// problem is the body of every answer but a success, as RFC 9457 has it.
type problem struct {
	Type      string `json:"type"`  // a path of the server, distinct for each class
	Title     string `json:"title"` // the same for all problems of a class
	Status    int    `json:"status"`
	Detail    string `json:"detail"`     // about the request
	RequestID string `json:"request_id"` // in the answer's X-Request-Id and in the log too
}

const (
	problemMedia = "application/problem+json"
	problemPath  = "/problems/" // before the name of a class
)

// class is a kind of problem. Clients distinguish problems by the name: the name never changes.
type class struct {
	name   string
	status int
	title  string
}

var (
	tenantRequired    = class{"tenant_required", http.StatusBadRequest, "The request names no tenant"}
	tenantInvalid     = class{"tenant_invalid", http.StatusBadRequest, "The tenant's name can't be used"}
	invalid           = class{"invalid", http.StatusBadRequest, "A field or a parameter can't be used"}
	tooManyCandidates = class{"too_many_candidates", http.StatusBadRequest, "The search has too many candidates"}
	forbidden         = class{"forbidden", http.StatusForbidden, "The tenant may not do this"}
	notFound          = class{"not_found", http.StatusNotFound, "The tenant has no such thing"}
	unknownReference  = class{"unknown_reference", http.StatusNotFound, "The request refers to something that the tenant does not have"}
	methodNotAllowed  = class{"method_not_allowed", http.StatusMethodNotAllowed, "The path does not take this method"}
	slowBody          = class{"slow_body", http.StatusRequestTimeout, "The body did not arrive in time"}
	conflict          = class{"conflict", http.StatusConflict, "The tenant has it already, or its status does not allow this"}
	notHeld           = class{"not_held", http.StatusConflict, "The claim has ended"}
	tooLarge          = class{"too_large", http.StatusRequestEntityTooLarge, "The body is too large"}
	unsupportedMedia  = class{"unsupported_media", http.StatusUnsupportedMediaType, "The body is not plain JSON"}
	queueFull         = class{"queue_full", http.StatusTooManyRequests, "The tenant's queue is full"}
	internal          = class{"internal", http.StatusInternalServerError, "Something went wrong"}
	stopping          = class{"stopping", http.StatusServiceUnavailable, "The server is stopping"}
	notStarted        = class{"not_started", http.StatusServiceUnavailable, "The server is starting"}
	busy              = class{"busy", http.StatusServiceUnavailable, "All connections to the database are in use"}
	unavailable       = class{"unavailable", http.StatusServiceUnavailable, "The database can't answer now"}
	databaseTimeout   = class{"timeout", http.StatusGatewayTimeout, "The database took too long"}
	allClasses        = []class{
		tenantRequired, tenantInvalid, invalid, tooManyCandidates, forbidden, notFound, unknownReference, methodNotAllowed, slowBody,
		conflict, notHeld, tooLarge, unsupportedMedia, queueFull, internal, stopping, notStarted, busy, unavailable, databaseTimeout,
	}
)

// classOf maps the clients' errors to classes; the first match counts.
var classOf = []struct {
	err error
	class
}{
	{fxdb.ErrTenantRequired, tenantRequired},
	{tenant.ErrNoIdentity, tenantRequired},
	{tenant.ErrInvalid, tenantInvalid},
	{modules.ErrInvalid, invalid},
	{modules.ErrNotFound, notFound},
	{orchestrator.ErrNotHeld, notHeld},
	{modules.ErrConflict, conflict},
	{modules.ErrReference, unknownReference},
	{knowledge.ErrTooManyCandidates, tooManyCandidates},
	{orchestrator.ErrQueueFull, queueFull},
	{modules.ErrForbidden, forbidden},
	{fxdb.ErrDraining, stopping},
	{fxdb.ErrNotStarted, notStarted},
	{fxdb.ErrQueueFull, busy},
	{fxdb.ErrAcquireTimeout, busy},
	{modules.ErrUnavailable, unavailable},
	{modules.ErrTimeout, databaseTimeout},
}

// requestError is a problem that the server found before the call of a client.
type requestError struct {
	class
	detail string
}

func (e *requestError) Error() string { return e.detail }

func badRequest(detail string) error { return &requestError{invalid, detail} }

// refuse answers with a problem. A problem that a retry may solve has a Retry-After.
func refuse(ctx context.Context, w http.ResponseWriter, c class, detail string) {
	body, err := json.Marshal(problem{problemPath + c.name, c.title, c.status, detail, requestIDOf(ctx)})
	if err != nil { // strings and a number
		panic(err)
	}
	if c.status == http.StatusTooManyRequests || c.status > http.StatusInternalServerError {
		w.Header().Set("Retry-After", "1")
	}
	w.Header().Set("Content-Type", problemMedia)
	w.WriteHeader(c.status)
	_, _ = w.Write(append(body, '\n'))
}

// problemClass is the answer at the URL of a problem's type.
type problemClass struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
}

// describeProblem answers at the URL of a problem's type.
func describeProblem(w http.ResponseWriter, r *http.Request) error {
	for _, c := range allClasses {
		if c.name == r.PathValue("class") {
			return respond(w, http.StatusOK, problemClass{problemPath + c.name, c.title, c.status})
		}
	}
	return &requestError{notFound, "there is no such class of problems"}
}
