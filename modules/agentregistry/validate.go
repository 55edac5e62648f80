package agentregistry

import (
	"math"

	"github.com/agentagency/onepool/modules"
)

func (a Agent) validate() error {
	return modules.FirstError(
		modules.CheckText("id", a.ID, 255),
		modules.CheckText("name", a.Name, 255),
		modules.CheckText("model_family", a.ModelFamily, 50),
		a.Capabilities.validate("capabilities."),
		modules.CheckShare("performance.success_rate", a.Performance.SuccessRate),
		modules.CheckShare("performance.average_quality", a.Performance.AverageQuality),
		modules.Check("performance.average_latency_ms", "must be a number from 0", a.Performance.AverageLatencyMS >= 0 && !math.IsInf(a.Performance.AverageLatencyMS, 1)),
		modules.Check("performance.task_count", "must not be negative", a.Performance.TaskCount >= 0),
		modules.CheckInt32("load.active_tasks", a.Load.ActiveTasks, 0),
		modules.CheckInt32("load.queued_tasks", a.Load.QueuedTasks, 0),
		modules.CheckInt32("max_concurrent_tasks", a.MaxConcurrentTasks, 0), // 0 is the default
	)
}

func (c Capabilities) validate(prefix string) error {
	for _, set := range c.sets() {
		for _, v := range set.values {
			if err := modules.CheckText(prefix+set.field, v, 100); err != nil {
				return err
			}
		}
	}
	return nil
}

// The comparison is false for NaN.
func checkPercent(field string, v float64) error {
	return modules.Check(field, "must be from 0 to 100", v >= 0 && v <= 100)
}
