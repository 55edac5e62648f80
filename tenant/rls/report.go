package rls

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Level says how much a finding matters.
type Level string

// The levels, worst first.
const (
	LevelError Level = "error" // isolation does not hold, or hangs by a thread
	LevelWarn  Level = "warn"  // isolation holds, and something weakens it or its cost
	LevelNote  Level = "note"  // worth knowing
)

// Direction says what goes wrong when a finding bites. It is empty where the
// finding is about cost.
type Direction string

// The two directions.
const (
	FailOpen   Direction = "fail-open"   // somebody reaches what is not theirs
	FailClosed Direction = "fail-closed" // somebody does not reach what is theirs
)

// Finding is one thing that Verify objects to.
type Finding struct {
	// Code names the check. It stays the same across versions.
	Code string `json:"code"`
	// Level is error, warn or note.
	Level Level `json:"level"`
	// Object is a role, schema.table, schema.table.policy, schema.function or a
	// setting. Names stand unquoted.
	Object string `json:"object"`
	// Consequence is one sentence on what follows from it.
	Consequence string `json:"consequence"`
	// Fix is SQL that mends it, to be read before it is run; it may be a comment.
	Fix string `json:"fix"`
	// Direction is fail-open, fail-closed or empty.
	Direction Direction `json:"direction,omitempty"`
	// Allowed is the reason given to Allow; empty where the finding counts.
	Allowed string `json:"allowed,omitempty"`
}

// ErrUnsound is what Report.Err wraps.
var ErrUnsound = errors.New("tenant isolation is not sound")

// Report is what Verify found, worst first.
type Report struct {
	Database string    `json:"database"`
	Role     string    `json:"role"`   // the role that was looked at
	Server   string    `json:"server"` // the server's version
	Tables   []string  `json:"tables"` // the tables that belong to tenants
	Findings []Finding `json:"findings"`
}

// Count returns how many findings of the level count, allowed ones left out.
func (r Report) Count(level Level) int {
	n := 0
	for _, f := range r.Findings {
		if f.Level == level && f.Allowed == "" {
			n++
		}
	}
	return n
}

// OK reports whether there is no finding of LevelError that is not allowed.
func (r Report) OK() bool { return r.Count(LevelError) == 0 }

// Err returns nil when OK, else an error that wraps ErrUnsound and names the
// findings of LevelError.
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
	return fmt.Errorf("%w for role %s: %s: run \"onepool verify\" for what follows and what mends it", ErrUnsound, r.Role, strings.Join(names, ", "))
}

// String is the report as text, for people: a line on what was looked at, and a
// paragraph for each finding.
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

// MarshalJSON adds "ok" to the fields, and writes empty lists as [].
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
