package main

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/agentagency/onepool/modules/agentregistry"
)

// newAgent is what a caller says of an agent; the rest is the registry's.
type newAgent struct {
	ID                 string                     `json:"id"` // made when empty
	Name               string                     `json:"name"`
	ModelFamily        string                     `json:"model_family"`
	Capabilities       agentregistry.Capabilities `json:"capabilities"`
	MaxConcurrentTasks int                        `json:"max_concurrent_tasks"`
}

func (h *handler) registerAgent(w http.ResponseWriter, r *http.Request) error {
	var in newAgent
	if err := decode(w, r, &in); err != nil {
		return err
	}
	if in.ID == "" {
		in.ID = rand.Text()
	}
	err := h.agents.Register(r.Context(), agentregistry.Agent{
		ID: in.ID, Name: in.Name, ModelFamily: in.ModelFamily,
		Capabilities: in.Capabilities, MaxConcurrentTasks: in.MaxConcurrentTasks,
	})
	if err != nil {
		return err
	}
	agent, err := h.agents.Get(r.Context(), in.ID)
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/agents/"+url.PathEscape(agent.ID))
	respond(w, http.StatusCreated, agent)
	return nil
}

func (h *handler) getAgent(w http.ResponseWriter, r *http.Request) error {
	agent, err := h.agents.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	respond(w, http.StatusOK, agent)
	return nil
}

func (h *handler) deleteAgent(w http.ResponseWriter, r *http.Request) error {
	found, err := h.agents.Unregister(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	if !found {
		return agentregistry.ErrAgentNotFound
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *handler) recordPerformance(w http.ResponseWriter, r *http.Request) error {
	var in agentregistry.Metrics
	if err := decode(w, r, &in); err != nil {
		return err
	}
	performance, err := h.agents.RecordPerformance(r.Context(), r.PathValue("id"), in)
	if err != nil {
		return err
	}
	respond(w, http.StatusOK, performance)
	return nil
}

func (h *handler) agentStats(w http.ResponseWriter, r *http.Request) error {
	stats, err := h.agents.Stats(r.Context())
	if err != nil {
		return err
	}
	respond(w, http.StatusOK, stats)
	return nil
}

// agentList is a page of agents. Next is the value of "after" for the page that
// follows; without it there is none.
type agentList struct {
	Agents []agentregistry.Agent `json:"agents"`
	Next   string                `json:"next,omitempty"`
}

// pageSize is how many agents a list holds unless the caller says otherwise.
const pageSize = 100

// findAgents lists all agents page by page, or finds those that the filters
// describe, the best first.
func (h *handler) findAgents(w http.ResponseWriter, r *http.Request) error {
	q, filtered, err := parseQuery(r.URL.Query())
	if err != nil {
		return err
	}
	out := agentList{Agents: []agentregistry.Agent{}}
	if filtered {
		found, err := h.agents.FindByCapability(r.Context(), q)
		if err != nil {
			return err
		}
		out.Agents = append(out.Agents, found...)
	} else {
		page, next, err := h.agents.List(r.Context(), agentregistry.ListOptions{Limit: q.Limit, After: r.URL.Query().Get("after")})
		if err != nil {
			return err
		}
		out.Agents, out.Next = append(out.Agents, page...), next
	}
	respond(w, http.StatusOK, out)
	return nil
}

// parseQuery reads the filters. A parameter nobody knows is refused: a typing
// error must not find everything.
func parseQuery(v url.Values) (q agentregistry.Query, filtered bool, err error) {
	q.Limit = pageSize
	for key, values := range v {
		switch key {
		case "language":
			q.Languages = values
		case "specialization":
			q.Specializations = values
		default:
			if len(values) > 1 {
				return q, false, badRequest(fmt.Sprintf("%s is given more than once", key))
			}
			if err := parseOne(&q, key, values[0]); err != nil {
				return q, false, err
			}
		}
		filtered = filtered || (key != "limit" && key != "after")
	}
	if filtered && v.Has("after") {
		return q, false, badRequest("after pages through all agents: it goes with no filter")
	}
	return q, filtered, nil
}

func parseOne(q *agentregistry.Query, key, value string) error {
	switch key {
	case "task_type":
		q.TaskType = value
	case "after":
	case "limit":
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > 1000 {
			return badRequest("limit must be a whole number from 1 to 1000")
		}
		q.Limit = n
	case "max_utilization", "min_success_rate":
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return badRequest(key + " must be a number")
		}
		if key == "max_utilization" {
			q.MaxUtilization = &n
		} else {
			q.MinSuccessRate = &n
		}
	default:
		return badRequest(fmt.Sprintf("there is no parameter %q: use task_type, language, specialization, max_utilization, min_success_rate, limit, after", key))
	}
	return nil
}
