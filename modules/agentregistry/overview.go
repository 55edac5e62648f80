package agentregistry

import "time"

// overview is a row of registry.agent_overview, in the order of columns.
type overview struct {
	ID, Name, ModelFamily                 string
	MaxConcurrentTasks                    int
	RegisteredAt, LastActiveAt            time.Time
	TaskTypes, Languages, Specializations []string
	SuccessRate, AverageQuality           float64
	AverageLatencyMs                      float64
	TaskCount                             int64
	ActiveTasks, QueuedTasks              int
	UtilizationPercent                    float64
}

const columns = `o.id, o.name, o.model_family, o.max_concurrent_tasks, o.registered_at, o.last_active_at,
o.task_types, o.languages, o.specializations, o.success_rate, o.average_quality, o.average_latency_ms,
o.task_count, o.active_tasks, o.queued_tasks, o.utilization_percent`

// overviewSQL returns a select of the overview of the agents whose tenant_id and id come from ids.
func overviewSQL(ids string) string {
	return "select " + columns + " from (" + ids + "\n) k, " + lookedUp("k")
}

// lookedUp returns the overview o of each agent of k, by tenant_id and id. The server looks up each
// agent by the key: with offset 0 the planner can't join in a different way, for example with all
// agents of the tenant.
func lookedUp(k string) string {
	return "lateral (select * from registry.agent_overview o where o.tenant_id = " + k + ".tenant_id and o.id = " + k + ".id offset 0) o"
}

func (o overview) agent() Agent {
	return Agent{
		ID: o.ID, Name: o.Name, ModelFamily: o.ModelFamily,
		Capabilities:       Capabilities{o.TaskTypes, o.Languages, o.Specializations},
		Performance:        Performance{o.SuccessRate, o.AverageQuality, o.AverageLatencyMs, o.TaskCount},
		Load:               Load{o.ActiveTasks, o.QueuedTasks, o.UtilizationPercent},
		MaxConcurrentTasks: o.MaxConcurrentTasks, RegisteredAt: o.RegisteredAt, LastActiveAt: o.LastActiveAt,
	}
}

func agents(rows []overview) []Agent {
	out := make([]Agent, len(rows))
	for i, o := range rows {
		out[i] = o.agent()
	}
	return out
}
