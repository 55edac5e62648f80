package agentregistry

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/agentagency/onepool/modules"
)

// DefaultMaxConcurrentTasks is the capacity of an agent that names none.
const DefaultMaxConcurrentTasks = 10

// The performance that an agent without a recorded task is shown with. The first
// task's figures replace it.
const (
	priorSuccessRate = 0.8
	priorQuality     = 0.7
	priorLatencyMS   = 5000
)

// Agent is what the registry knows of one agent.
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

// Capabilities are what an agent can do: sets, in no order of the caller's.
type Capabilities struct {
	TaskTypes       []string `json:"task_types"`
	Languages       []string `json:"languages"`
	Specializations []string `json:"specializations"`
}

// Performance is the running averages over TaskCount tasks.
type Performance struct {
	SuccessRate      float64 `json:"success_rate"`    // 0 to 1
	AverageQuality   float64 `json:"average_quality"` // 0 to 1
	AverageLatencyMS float64 `json:"average_latency_ms"`
	TaskCount        int64   `json:"task_count"`
}

// Load is what an agent is busy with. UtilizationPercent is computed from
// ActiveTasks and the agent's capacity, at most 100.
type Load struct {
	ActiveTasks        int     `json:"active_tasks"`
	QueuedTasks        int     `json:"queued_tasks"`
	UtilizationPercent float64 `json:"utilization_percent"`
}

// Known task types. The registry takes others too.
const (
	TaskCodeEditing   = "code-editing"
	TaskResearch      = "research"
	TaskCodeReview    = "code-review"
	TaskDocumentation = "documentation"
	TaskTesting       = "testing"
	TaskDebugging     = "debugging"
	TaskRefactoring   = "refactoring"
	TaskAPIDesign     = "api-design"
)

// Known languages. The registry takes others too.
const (
	LanguageTypeScript = "TypeScript"
	LanguageJavaScript = "JavaScript"
	LanguagePython     = "Python"
	LanguageRust       = "Rust"
	LanguageGo         = "Go"
	LanguageJava       = "Java"
	LanguageCPP        = "C++"
	LanguageCSharp     = "C#"
)

// Known specializations. The registry takes others too.
const (
	SpecializationAST         = "AST analysis"
	SpecializationAPIDesign   = "API design"
	SpecializationPerformance = "Performance optimization"
	SpecializationSecurity    = "Security audit"
	SpecializationDatabase    = "Database design"
	SpecializationFrontend    = "Frontend architecture"
	SpecializationBackend     = "Backend architecture"
	SpecializationDevOps      = "DevOps"
)

// Known model families. The registry takes others too.
const (
	ModelGPT4      = "gpt-4"
	ModelClaude3   = "claude-3"
	ModelClaude35  = "claude-3.5"
	ModelGeminiPro = "gemini-pro"
	ModelLlama3    = "llama-3"
	ModelMixtral   = "mixtral"
)

func (a Agent) validate() error {
	err := firstError(
		checkText("id", a.ID, 255),
		checkText("name", a.Name, 255),
		checkText("model_family", a.ModelFamily, 50),
		a.Capabilities.validate(),
		checkShare("performance.success_rate", a.Performance.SuccessRate),
		checkShare("performance.average_quality", a.Performance.AverageQuality),
	)
	switch {
	case err != nil:
		return err
	case a.MaxConcurrentTasks < 0 || a.MaxConcurrentTasks > math.MaxInt32:
		return modules.Invalid("max_concurrent_tasks", "must be more than 0")
	case !(a.Performance.AverageLatencyMS >= 0) || math.IsInf(a.Performance.AverageLatencyMS, 0) || a.Performance.TaskCount < 0:
		return modules.Invalid("performance", "must not be negative")
	case a.Load.ActiveTasks < 0 || a.Load.QueuedTasks < 0 || a.Load.ActiveTasks > math.MaxInt32 || a.Load.QueuedTasks > math.MaxInt32:
		return modules.Invalid("load", "must not be negative")
	}
	return nil
}

func (c Capabilities) validate() error {
	return c.each(func(kind, value string) error { return checkText("capabilities: "+kind, value, 100) })
}

// each visits every capability with its kind in the database.
func (c Capabilities) each(fn func(kind, value string) error) error {
	for _, set := range []struct {
		kind   string
		values []string
	}{{"task_type", c.TaskTypes}, {"language", c.Languages}, {"specialization", c.Specializations}} {
		for _, v := range set.values {
			if err := fn(set.kind, v); err != nil {
				return err
			}
		}
	}
	return nil
}

// columns returns the capabilities as two arrays of equal length.
func (c Capabilities) columns() (kinds, values []string) {
	kinds, values = []string{}, []string{}
	_ = c.each(func(kind, value string) error {
		kinds, values = append(kinds, kind), append(values, value)
		return nil
	})
	return kinds, values
}

func checkText(field, v string, limit int) error {
	switch {
	case strings.TrimSpace(v) == "":
		return modules.Invalid(field, "must not be blank")
	case len(v) > limit:
		return modules.Invalid(field, fmt.Sprintf("must be at most %d bytes", limit))
	case strings.ContainsRune(v, 0) || strings.ToValidUTF8(v, "") != v:
		return modules.Invalid(field, "must be text without NUL bytes")
	}
	return nil
}

// checkShare refuses NaN too, which is in no order with anything.
func checkShare(field string, v float64) error {
	if !(v >= 0 && v <= 1) {
		return modules.Invalid(field, "must be from 0 to 1")
	}
	return nil
}

func firstError(errs ...error) error {
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return errs[i]
	}
	return nil
}
