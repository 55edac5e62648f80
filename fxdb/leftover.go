package fxdb

import (
	"regexp"
	"strings"
)

// leavesIdentity reports whether a statement may leave an identity on the session,
// where the next one without a tenant would find it: SET of one of its settings,
// and set_config unless it is plainly for the transaction only or of another setting.
// A function's body and text that the server puts together can do the same unseen.
//
// It is asked about every statement. All that it looks for has an underscore, which
// is quick to find.
func leavesIdentity(sql string) bool {
	for at := 0; ; at++ {
		next := strings.IndexByte(sql[at:], '_')
		if next < 0 {
			return false
		}
		at += next
		before, behind := sql[:at], sql[at+1:]
		switch {
		case !endsWith(before, "t"): // most
		case endsWith(before, "current"):
			if setsIdentity(before[:len(before)-len("current")]) {
				return true
			}
		case endsWith(before, "set") && beginsWith(behind, "config") && !isPlainlyLocal(behind):
			call := setConfig.FindStringSubmatch(behind)
			if call == nil {
				return true
			}
			name, local := call[1], call[2] != ""
			if !local && (!strings.HasPrefix(name, "'") || beginsWith(name, "'app.current_")) {
				return true
			}
		}
	}
}

// setConfig is a call of set_config from its underscore on: its first argument, and
// true if that is its last. An argument has no comma outside quotes and parentheses.
var setConfig = func() *regexp.Regexp {
	const (
		quoted   = `'[^']*'`
		argument = `(?:[^,()']|` + quoted + `|\((?:[^()']|` + quoted + `|\([^()]*\))*\))*`
	)
	return regexp.MustCompile(`(?is)^config"?\s*\(\s*(` + argument + `),` + argument + `,\s*(?:(true)|` + argument + `)\s*\)`)
}()

// isPlainlyLocal is setConfig's verdict on calls as scopes have them, in a hundredth
// of the time.
func isPlainlyLocal(call string) bool {
	call, _, ok := strings.Cut(call, ")")
	return ok && strings.HasSuffix(call, ", true") &&
		strings.Count(call, "(") == 1 && strings.Count(call, ",") == 2 && strings.Count(call, "'") == 2
}

// setsIdentity reports whether what stands before a setting's last name is SET, or
// SET SESSION, and app.
func setsIdentity(before string) bool {
	const space = " \t\r\n\f\""
	before = strings.TrimRight(before, space)
	before, ok := strings.CutSuffix(before, ".")
	if before = strings.TrimRight(before, space); !ok || !endsWith(before, "app") {
		return false
	}
	before = strings.TrimRight(before[:len(before)-len("app")], space)
	return endsWith(before, "set") || endsWith(before, "session") || strings.HasSuffix(before, "*/")
}

func beginsWith(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

func endsWith(s, suffix string) bool {
	return len(s) >= len(suffix) && strings.EqualFold(s[len(s)-len(suffix):], suffix)
}
