package agentregistry

import "github.com/agentagency/onepool/modules/internal/check"

func (a Agent) validate() error {
	return check.First(
		check.ID("id", a.ID),
		check.Text("name", a.Name, 255),
		check.Text("model_family", a.ModelFamily, 50),
		a.Capabilities.validate("capabilities."),
		check.Share("performance.success_rate", a.Performance.SuccessRate),
		check.Share("performance.average_quality", a.Performance.AverageQuality),
		check.Milliseconds("performance.average_latency_ms", a.Performance.AverageLatencyMS),
		check.Count("performance.task_count", a.Performance.TaskCount),
		check.Int32("load.active_tasks", a.Load.ActiveTasks, 0),
		check.Int32("load.queued_tasks", a.Load.QueuedTasks, 0),
		check.Int32("max_concurrent_tasks", a.MaxConcurrentTasks, 0), // 0 is the default
		check.Ranges(a),
		check.Past("registered_at", a.RegisteredAt),
		check.Past("last_active_at", a.LastActiveAt),
	)
}

func (c Capabilities) validate(prefix string) error {
	for _, set := range c.sets() {
		for _, v := range set.values {
			if err := check.Text(prefix+set.field, v, 100); err != nil {
				return err
			}
		}
	}
	return nil
}

// The comparison is false for NaN.
func checkPercent(field string, v float64) error {
	return check.That(field, "must be from 0 to 100", v >= 0 && v <= 100)
}
