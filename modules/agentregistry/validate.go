package agentregistry

import "github.com/agentagency/onepool/modules"

func (a Agent) validate() error {
	return modules.FirstError(
		modules.CheckID("id", a.ID),
		modules.CheckText("name", a.Name, 255),
		modules.CheckText("model_family", a.ModelFamily, 50),
		a.Capabilities.validate("capabilities."),
		modules.CheckShare("performance.success_rate", a.Performance.SuccessRate),
		modules.CheckShare("performance.average_quality", a.Performance.AverageQuality),
		modules.CheckMilliseconds("performance.average_latency_ms", a.Performance.AverageLatencyMS),
		modules.CheckCount("performance.task_count", a.Performance.TaskCount),
		modules.CheckInt32("load.active_tasks", a.Load.ActiveTasks, 0),
		modules.CheckInt32("load.queued_tasks", a.Load.QueuedTasks, 0),
		modules.CheckInt32("max_concurrent_tasks", a.MaxConcurrentTasks, 0), // 0 is the default
		modules.CheckRanges(a),
		modules.CheckPast("registered_at", a.RegisteredAt),
		modules.CheckPast("last_active_at", a.LastActiveAt),
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
