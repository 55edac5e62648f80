package fxdb

import (
	"hash/maphash"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
)

// leftover is what a statement's text says that it may leave on its session. A
// function's body and text that the server puts together can do the same unseen.
type leftover uint8

const (
	leftToNext   leftover = 1 << iota // what the session's next user would find, or be
	ofOneSession                      // what needs a session that lasts, or changes it
)

// spoils reports whether nobody else may have the connection after a statement: it
// may leave an identity, another role or search path, a temporary table, a cursor, a
// channel or a lock there. Other settings stay, as they do in pgxpool.
func spoils(sql string) bool { return leftoverOf(sql)&leftToNext != 0 }

// leavesSession reports whether a statement needs a session that outlives its
// transaction, or would leave something on one that others use.
func leavesSession(sql string) bool { return leftoverOf(sql) != 0 }

// verdicts are those on the texts that were last asked about: every statement is, and
// most are the same again.
var (
	verdicts    [1024]atomic.Pointer[verdict]
	verdictSeed = maphash.MakeSeed()
)

type verdict struct {
	sql  string
	left leftover
}

// longestVerdict is the longest text that is kept.
const longestVerdict = 4 << 10

func leftoverOf(sql string) leftover {
	at := &verdicts[maphash.String(verdictSeed, sql)%uint64(len(verdicts))]
	if v := at.Load(); v != nil && v.sql == sql {
		return v.left
	}
	left := judge(sql)
	if len(sql) <= longestVerdict {
		at.Store(&verdict{sql, left})
	}
	return left
}

func judge(sql string) leftover {
	if leavesIdentity(sql) {
		return leftToNext | ofOneSession
	}
	return judgeStatements(sql, false)
}

// leavesIdentity reports whether a statement may leave an identity on the session,
// where the next one without a tenant would find it: SET of one of its settings,
// and set_config unless it is plainly for the transaction only or of a setting that
// gives nobody more rows. All that it looks for has an underscore, which is quick to
// find.
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
			if local := call[2] != ""; !local && !isHarmless(call[1]) {
				return true
			}
		}
	}
}

// isHarmless reports whether set_config's first argument is plainly the name of another
// setting than those of heldSettings.
func isHarmless(name string) bool {
	name = strings.TrimSpace(name)
	if len(name) < 2 || name[0] != '\'' || strings.IndexByte(name[1:], '\'') != len(name)-2 {
		return false
	}
	name, _, _ = strings.Cut(strings.ToLower(name[1:len(name)-1]), ".")
	return !slices.Contains(heldSettings, name)
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
