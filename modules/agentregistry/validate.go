package agentregistry

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/agentagency/onepool/modules"
)

// What is checked here never reaches the server: its own refusal would name a
// constraint, not the field, and some of its messages repeat the value.

func (a Agent) validate() error {
	return firstError(
		checkText("id", a.ID, 255),
		checkText("name", a.Name, 255),
		checkText("model_family", a.ModelFamily, 50),
		a.Capabilities.validate("capabilities."),
		checkShare("performance.success_rate", a.Performance.SuccessRate),
		checkShare("performance.average_quality", a.Performance.AverageQuality),
		check("performance.average_latency_ms", "must be a number from 0", a.Performance.AverageLatencyMS >= 0 && !math.IsInf(a.Performance.AverageLatencyMS, 1)),
		check("performance.task_count", "must not be negative", a.Performance.TaskCount >= 0),
		checkInt32("load.active_tasks", a.Load.ActiveTasks, 0),
		checkInt32("load.queued_tasks", a.Load.QueuedTasks, 0),
		checkInt32("max_concurrent_tasks", a.MaxConcurrentTasks, 0), // 0 is the default
	)
}

func (c Capabilities) validate(prefix string) error {
	for _, set := range c.sets() {
		for _, v := range set.values {
			if err := checkText(prefix+set.field, v, 100); err != nil {
				return err
			}
		}
	}
	return nil
}

func check(field, must string, ok bool) error {
	if ok {
		return nil
	}
	return modules.Invalid(field, must)
}

func checkID(id string) error { return checkText("id", id, 255) }

func checkText(field, v string, limit int) error {
	switch {
	case strings.TrimSpace(v) == "":
		return modules.Invalid(field, "must not be blank")
	case len(v) > limit:
		return modules.Invalid(field, fmt.Sprintf("must be at most %d bytes", limit))
	case strings.ContainsRune(v, 0) || !utf8.ValidString(v):
		return modules.Invalid(field, "must be text without NUL bytes")
	}
	return nil
}

// The comparisons are false for NaN.

func checkShare(field string, v float64) error {
	return check(field, "must be from 0 to 1", v >= 0 && v <= 1)
}

func checkPercent(field string, v float64) error {
	return check(field, "must be from 0 to 100", v >= 0 && v <= 100)
}

// checkInt32 is for what the server keeps in 32 bits.
func checkInt32(field string, v, least int) error {
	return check(field, fmt.Sprintf("must be from %d to %d", least, math.MaxInt32), v >= least && v <= math.MaxInt32)
}

func firstError(errs ...error) error {
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return errs[i]
	}
	return nil
}
