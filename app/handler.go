package main

import (
	_ "embed"
	"fmt"
	"maps"
	"net/http"
	"strings"

	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/modules/agentregistry"
	"github.com/agentagency/onepool/modules/knowledge"
	"github.com/agentagency/onepool/modules/orchestrator"
	"github.com/agentagency/onepool/modules/verification"
	"github.com/agentagency/onepool/modules/webnavigator"
)

// tenantHeader names the tenant. The server trusts the header: put the server behind a proxy
// that authenticates the caller and sets the header.
const tenantHeader = "X-Tenant-ID"

// clients are the agency's.
type clients struct {
	fx.In

	Agents       *agentregistry.Client
	Knowledge    *knowledge.Client
	Web          *webnavigator.Client
	Verification *verification.Client
	Orchestrator *orchestrator.Client
}

// routes maps a pattern, a method and a path, to an endpoint.
type routes map[string]endpoint

// routes returns the routes of all clients. Each route needs a tenant.
func (c clients) routes() routes {
	all := routes{}
	for _, r := range []routes{
		agentRoutes(c.Agents), knowledgeRoutes(c.Knowledge), webRoutes(c.Web),
		verificationRoutes(c.Verification), taskRoutes(c.Orchestrator),
	} {
		maps.Copy(all, r)
	}
	return all
}

// openRoutes returns the routes that need no tenant.
func (h *handler) openRoutes(db *fxdb.DB) map[string]http.Handler {
	return map[string]http.Handler{
		"GET /{$}":              http.HandlerFunc(frontDoor),
		"GET /livez":            db.Monitor().Live(),
		"GET /readyz":           db.Monitor().Ready(),
		"GET /stats":            h.answer(statsHandler(db)),
		"GET /metrics":          serveMetrics(db),
		"GET /openapi.yaml":     http.HandlerFunc(serveDescription),
		"GET /problems/{class}": h.answer(describeProblem),
	}
}

// statsHandler serves the pool's statistics. Anybody may ask, but only an operator sees the
// tenants' names.
func statsHandler(db *fxdb.DB) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		stats := db.Stats()
		for i := range stats.Tenants {
			if !isOperator(r.Context()) {
				stats.Tenants[i].Name = ""
			}
		}
		return respond(w, http.StatusOK, stats)
	}
}

// description is the API, as OpenAPI 3.1.
//
//go:embed openapi.yaml
var description []byte

func serveDescription(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(description)
}

// handler is the API.
type handler struct {
	log    *zap.Logger
	outage *outageLog
	mux    *http.ServeMux
}

// operators holds the operator's token, if set.
type operators struct {
	fx.In

	Token operatorToken `optional:"true"`
}

// newHandler builds the API.
func newHandler(log *zap.Logger, db *fxdb.DB, c clients, o operators) http.Handler {
	h := &handler{log: log, outage: newOutageLog(log), mux: http.NewServeMux()}
	for pattern, open := range h.openRoutes(db) {
		h.mux.Handle(pattern, o.Token.mark(open))
	}
	for pattern, e := range c.routes() {
		h.mux.Handle(pattern, h.scoped(h.answer(e.serve)))
	}
	h.mux.Handle("/", h.answer(h.noRoute))
	return h
}

// noRoute answers a request that matches no pattern, in JSON like every answer.
func (h *handler) noRoute(w http.ResponseWriter, r *http.Request) error {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := h.mux.Handler(other); pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		return &requestError{methodNotAllowed, fmt.Sprintf("%s takes %s", r.URL.Path, strings.Join(allowed, ", "))}
	}
	return nothingThere(w, r)
}

func nothingThere(http.ResponseWriter, *http.Request) error {
	return &requestError{notFound, "there is nothing at this path"}
}
