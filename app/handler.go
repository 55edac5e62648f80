package main

import (
	"fmt"
	"net/http"
	"strings"

	"go.uber.org/zap"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/modules/agentregistry"
	"github.com/agentagency/onepool/tenant"
)

// tenantHeader names the tenant. This server believes it: put it behind a proxy
// that checks who is asking, and sets it.
const tenantHeader = "X-Tenant-ID"

type handler struct {
	log    *zap.Logger
	agents *agentregistry.Client
	mux    *http.ServeMux
}

// newHandler builds the API.
func newHandler(log *zap.Logger, db *fxdb.DB, agents *agentregistry.Client) http.Handler {
	h := &handler{log: log, agents: agents, mux: http.NewServeMux()}
	h.mux.Handle("GET /livez", db.Monitor().Live())
	h.mux.Handle("GET /readyz", db.Monitor().Ready())
	h.mux.Handle("GET /stats", db.StatsHandler())

	scoped := tenant.Middleware(tenant.Header(tenantHeader))
	for pattern, fn := range map[string]func(http.ResponseWriter, *http.Request) error{
		"POST /agents":                  h.registerAgent,
		"GET /agents":                   h.findAgents,
		"GET /agents/stats":             h.agentStats,
		"GET /agents/{id}":              h.getAgent,
		"DELETE /agents/{id}":           h.deleteAgent,
		"POST /agents/{id}/performance": h.recordPerformance,
	} {
		h.mux.Handle(pattern, scoped(h.endpoint(fn)))
	}
	h.mux.Handle("/", h.endpoint(h.noRoute))
	return h.mux
}

// noRoute answers what no other pattern took, in JSON like everything else.
func (h *handler) noRoute(w http.ResponseWriter, r *http.Request) error {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := h.mux.Handler(other); pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		return &requestError{http.StatusMethodNotAllowed, apiError{"method_not_allowed", fmt.Sprintf("%s takes %s", r.URL.Path, strings.Join(allowed, " and "))}}
	}
	return &requestError{http.StatusNotFound, apiError{"not_found", "there is nothing at this path"}}
}
