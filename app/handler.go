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

// tenantHeader names the tenant. This server believes it: put it behind a proxy
// that checks who is asking, and sets it.
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

// routes are endpoints by their patterns, each a method and a path.
type routes map[string]endpoint

// routes are those of all clients. Each belongs to a tenant.
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

// openRoutes are those that belong to no tenant.
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

// statsHandler is the pool's own. Anybody may ask, but who else is here is an
// operator's business: others get the tenants' figures without their names.
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

// description is this API, as OpenAPI 3.1.
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

// operators says who is one.
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

// noRoute answers what no other pattern took, in JSON like everything else.
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
	return &requestError{notFound, "there is nothing at this path"}
}
