package rls

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Level is the severity of a finding.
type Level string

// The levels, worst first.
const (
	LevelError Level = "error" // isolation does not hold, or one change breaks isolation
	LevelWarn  Level = "warn"  // isolation holds, and the object weakens isolation or costs time
	LevelNote  Level = "note"  // worth knowing
)

// Direction is the kind of failure that a finding leads to, and empty for a finding about cost.
type Direction string

// The two directions.
const (
	FailOpen   Direction = "fail-open"   // a session reaches rows of another tenant
	FailClosed Direction = "fail-closed" // a session does not reach its own tenant's rows
)

// Finding is an objection of [Verify].
type Finding struct {
	// Code names the check, and stays the same across versions.
	Code string `json:"code"`
	// Level is error, warn or note.
	Level Level `json:"level"`
	// Object is a role, schema.table, schema.table.policy, schema.function or a
	// setting. Names stand unquoted.
	Object string `json:"object"`
	// Consequence is a sentence about the effect.
	Consequence string `json:"consequence"`
	// Fix is SQL, or a comment of SQL, that removes the finding. Read the SQL before you run it.
	Fix string `json:"fix"`
	// Direction is fail-open, fail-closed or empty.
	Direction Direction `json:"direction,omitempty"`
	// Allowed is the reason of [Allow], and empty if the finding counts.
	Allowed string `json:"allowed,omitempty"`
}

// ErrUnsound is the error that [Report.Err] wraps.
var ErrUnsound = errors.New("tenant isolation is not sound")

// Report is the result of [Verify]. The worst findings come first.
type Report struct {
	Database string    `json:"database"`
	Role     string    `json:"role"`   // the role that Verify judged
	Server   string    `json:"server"` // the server's version
	Tables   []string  `json:"tables"` // the tables that belong to tenants
	Findings []Finding `json:"findings"`
	// NotJudged are the tables that the role reads or writes and that no rule judged: no column,
	// policy or foreign key identifies the tenant of a row.
	NotJudged []UnjudgedTable `json:"not_judged"`
	// Advice are sentences about rights that nearly every installation has, and no findings.
	Advice []string `json:"advice"`
}

// Count returns the number of findings of the level, without allowed findings.
func (r Report) Count(level Level) int {
	n := 0
	for _, f := range r.Findings {
		if f.Level == level && f.Allowed == "" {
			n++
		}
	}
	return n
}

// OK reports whether every finding of [LevelError] is allowed.
func (r Report) OK() bool { return r.Count(LevelError) == 0 }

// Err returns nil if OK, else an error that wraps [ErrUnsound] and names the findings of
// [LevelError].
func (r Report) Err() error {
	var names []string
	for _, f := range r.Findings {
		if f.Level == LevelError && f.Allowed == "" {
			names = append(names, f.Code+" "+f.Object)
		}
	}
	if names == nil {
		return nil
	}
	return fmt.Errorf("%w for role %s: %s: run \"go tool onepool verify\" for the consequences and the fixes (first: go get -tool github.com/agentagency/onepool/fxdb/cmd/onepool)", ErrUnsound, r.Role, strings.Join(names, ", "))
}

// String is the report as text: a line about the role and the server, a paragraph for each
// finding, the tables that no rule judged, the advice, and the verdict.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "role %s, database %s, PostgreSQL %s, %s\n", r.Role, r.Database, r.Server, plural(len(r.Tables), "table"))
	for _, f := range r.Findings {
		level := string(f.Level)
		if f.Allowed != "" {
			level = "allowed"
		}
		fmt.Fprintf(&b, "\n%-7s %s  %s", level, f.Code, f.Object)
		if f.Direction != "" {
			fmt.Fprintf(&b, "  (%s)", f.Direction)
		}
		fmt.Fprintf(&b, "\n        %s\n", f.Consequence)
		if f.Allowed != "" {
			fmt.Fprintf(&b, "        reason: %s\n", f.Allowed)
			continue
		}
		for line := range strings.Lines(f.Fix) {
			fmt.Fprintf(&b, "        %s\n", strings.TrimRight(line, "\n"))
		}
	}
	if len(r.Findings) > 0 {
		b.WriteByte('\n')
	}
	r.writeClosing(&b)
	if r.OK() {
		b.WriteString("sound")
	} else {
		b.WriteString("not sound")
	}
	allowed := 0
	for _, f := range r.Findings {
		if f.Allowed != "" {
			allowed++
		}
	}
	fmt.Fprintf(&b, ": %s, %s, %s, %d allowed\n", plural(r.Count(LevelError), "error"), plural(r.Count(LevelWarn), "warning"), plural(r.Count(LevelNote), "note"), allowed)
	return b.String()
}

// MarshalJSON adds "ok" to the fields, and writes an empty list as [].
func (r Report) MarshalJSON() ([]byte, error) { return json.Marshal(r.asJSON()) }

type reportFields Report // without the methods

type reportJSON struct {
	OK bool `json:"ok"`
	reportFields
}

func (r Report) asJSON() reportJSON {
	out := reportJSON{r.OK(), reportFields(r)}
	if out.Tables == nil {
		out.Tables = []string{}
	}
	if out.Findings == nil {
		out.Findings = []Finding{}
	}
	if out.NotJudged == nil {
		out.NotJudged = []UnjudgedTable{}
	}
	if out.Advice == nil {
		out.Advice = []string{}
	}
	return out
}

// WriteJSON writes the report as indented JSON.
func (r Report) WriteJSON(w io.Writer) error { return writeJSON(w, r.asJSON()) }

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
