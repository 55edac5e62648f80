package agentregistry

import (
	"encoding/json"
	"time"
)

// DefaultMaxConcurrentTasks is the capacity of an agent without a capacity.
const DefaultMaxConcurrentTasks = 10

// The performance of an agent without a recorded task. The first task's figures replace the
// values.
const (
	priorSuccessRate = 0.8
	priorQuality     = 0.7
	priorLatencyMS   = 5000
)

// Agent is an entry of the registry.
type Agent struct {
	ID                 string       `json:"id"`   // the caller's, 1 to 255 bytes
	Name               string       `json:"name"` // unique in the tenant, 1 to 255 bytes
	ModelFamily        string       `json:"model_family"`
	Capabilities       Capabilities `json:"capabilities"`
	Performance        Performance  `json:"performance"`
	Load               Load         `json:"load"`
	MaxConcurrentTasks int          `json:"max_concurrent_tasks"` // default 10
	RegisteredAt       time.Time    `json:"registered_at"`        // default now
	LastActiveAt       time.Time    `json:"last_active_at"`       // default now
}

// Capabilities are an agent's abilities: sets, in no order of the caller's.
type Capabilities struct {
	TaskTypes       []string `json:"task_types"`
	Languages       []string `json:"languages"`
	Specializations []string `json:"specializations"`
}

// MarshalJSON encodes a set of none as [], never as null.
func (c Capabilities) MarshalJSON() ([]byte, error) {
	type plain Capabilities
	for _, set := range []*[]string{&c.TaskTypes, &c.Languages, &c.Specializations} {
		if *set == nil {
			*set = []string{}
		}
	}
	return json.Marshal(plain(c))
}

// sets returns the capabilities with the kind in the database and the field's name.
func (c Capabilities) sets() []capabilitySet {
	return []capabilitySet{
		{"task_type", "task_types", c.TaskTypes},
		{"language", "languages", c.Languages},
		{"specialization", "specializations", c.Specializations},
	}
}

type capabilitySet struct {
	kind, field string
	values      []string
}

// columns returns the capabilities as two arrays of equal length, never nil: nil
// would be null.
func (c Capabilities) columns() (kinds, values []string) {
	kinds, values = []string{}, []string{}
	for _, set := range c.sets() {
		for _, v := range set.values {
			kinds, values = append(kinds, set.kind), append(values, v)
		}
	}
	return kinds, values
}

// Performance is the running averages over TaskCount tasks.
type Performance struct {
	SuccessRate      float64 `json:"success_rate"`    // 0 to 1
	AverageQuality   float64 `json:"average_quality"` // 0 to 1
	AverageLatencyMS float64 `json:"average_latency_ms"`
	TaskCount        int64   `json:"task_count"`
}

// Load is an agent's present work. The registry computes UtilizationPercent from ActiveTasks
// and the agent's capacity, at most 100.
type Load struct {
	ActiveTasks        int     `json:"active_tasks"`
	QueuedTasks        int     `json:"queued_tasks"`
	UtilizationPercent float64 `json:"utilization_percent"`
}
