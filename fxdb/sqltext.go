package fxdb

import (
	"slices"
	"strings"
)

// heldSettings decide what their session sees and may do, by their names' first part.
var heldSettings = []string{"app", "role", "row_security", "schema", "search_path", "session_authorization", "session_replication_role"}

// sessionLocks are the functions whose locks outlive a transaction.
var sessionLocks = []string{"pg_advisory_lock", "pg_advisory_lock_shared", "pg_try_advisory_lock", "pg_try_advisory_lock_shared"}

// verbs are the statements that EXPLAIN ANALYZE can run and that may leave something.
var verbs = []string{"create", "declare", "execute", "select", "with"}

// knownWords are all that a judgement depends on, in lower case. Other words are all
// alike.
var knownWords = func() map[string]string {
	words := make(map[string]string)
	for _, w := range slices.Concat(heldSettings, sessionLocks, verbs, strings.Fields(`
		all authorization begin characteristics commit constraints deallocate discard do drop else explain global hold insert
		into listen load local loop merge or pg_temp prepare recursive replace reset session set temp temporary then
		transaction unlisten unlogged`)) {
		words[w] = w
	}
	return words
}()

// knownLengths are those of knownWords by their first letters, as bits: most other words
// are told by them.
var knownLengths = func() (lengths [26]uint32) {
	for w := range knownWords {
		lengths[w[0]-'a'] |= 1 << len(w)
	}
	return lengths
}()

// statementText is what is known of one statement's text.
type statementText struct {
	head         [8]string // its first words
	words        int       // how many of them there are
	before, last string    // the last two; empty where something else stood there

	bodies   []string // DO's
	intoTemp bool     // SELECT INTO a temporary table
	hold     bool     // WITH HOLD
	dropped  bool     // ON COMMIT DROP
	ofTemp   bool     // names something in the schema of temporary tables
	locks    bool     // calls one of sessionLocks
}

func (s *statementText) word(w string) {
	switch {
	case s.words == 1 && s.head[0] == "explain":
		if slices.Contains(verbs, w) {
			s.head[0] = w
		}
	case s.words < len(s.head):
		s.head[s.words] = w
		s.words++
	}
	switch w {
	case "temp", "temporary":
		s.intoTemp = s.intoTemp || s.last == "into" && s.before != "insert" && s.before != "merge"
	case "hold":
		s.hold = s.hold || s.last == "with"
	case "drop":
		s.dropped = s.dropped || s.last == "commit"
	}
	s.before, s.last = s.last, w
}

func (s *statementText) sign(c byte) {
	switch {
	case c == '.' && s.last == "pg_temp":
		s.ofTemp = true
	case c == '(' && slices.Contains(sessionLocks, s.last):
		s.locks = true
	}
	s.before, s.last = s.last, ""
}

func (s *statementText) text(content string, inBody bool) {
	if s.head[0] == "do" && !inBody {
		s.bodies = append(s.bodies, content)
	}
	s.before, s.last = s.last, ""
}

func (s *statementText) leaves() leftover {
	const both = leftToNext | ofOneSession
	if s.locks {
		return both
	}
	switch first, second := s.head[0], s.head[1]; first {
	case "set":
		return s.sets()
	case "listen":
		return both
	case "discard", "deallocate":
		if second == "all" { // what was prepared is gone
			return both
		}
		return ofOneSession
	case "unlisten", "execute", "reset", "load":
		return ofOneSession
	case "prepare":
		if second != "transaction" {
			return ofOneSession
		}
	case "create":
		if s.ofTemp || s.createsTemp() && !s.dropped {
			return both
		}
	case "select", "with":
		if s.intoTemp {
			return both
		}
	case "declare":
		if s.hold {
			return both
		}
	case "do":
		var left leftover
		for _, body := range s.bodies {
			left |= judgeStatements(body, true)
		}
		return left
	}
	return 0
}

// sets judges SET.
func (s *statementText) sets() leftover {
	name := s.head[1]
	switch name {
	case "local", "transaction", "constraints":
		return 0
	case "session":
		name = s.head[2]
	}
	if name == "authorization" || name == "characteristics" || slices.Contains(heldSettings, name) {
		return leftToNext | ofOneSession
	}
	return ofOneSession
}

func (s *statementText) createsTemp() bool {
	for _, w := range s.head[1:] {
		switch w {
		case "temp", "temporary":
			return true
		case "or", "replace", "global", "local", "recursive", "unlogged":
		default:
			return false
		}
	}
	return false
}

// judgeStatements judges all statements of a text. In a body of PL/pgSQL they begin
// behind some of its words too.
func judgeStatements(sql string, body bool) (left leftover) {
	var s statementText
	next := func() {
		left |= s.leaves()
		s = statementText{}
	}
	for sql != "" {
		switch c := sql[0]; {
		case strings.HasPrefix(sql, "--"):
			_, sql, _ = strings.Cut(sql, "\n")
		case strings.HasPrefix(sql, "/*"):
			sql = sql[lengthOfComment(sql):]
		case c == '\'':
			n := lengthOfQuoted(sql, false)
			s.text(strings.Trim(sql[:n], "'"), body)
			sql = sql[n:]
		case c == '"':
			n := lengthOfQuoted(sql, false)
			s.word(knownWords[strings.Trim(sql[:n], `"`)])
			sql = sql[n:]
		case c == '$':
			n, content := dollarQuoted(sql)
			if n > 1 {
				s.text(content, body)
			}
			sql = sql[n:]
		case isLetter(c):
			n := 1
			for n < len(sql) && (isLetter(sql[n]) || '0' <= sql[n] && sql[n] <= '9' || sql[n] == '$') {
				n++
			}
			if n == 1 && (c == 'e' || c == 'E') && strings.HasPrefix(sql[1:], "'") {
				m := lengthOfQuoted(sql[1:], true)
				s.text(strings.Trim(sql[1:1+m], "'"), body)
				sql = sql[1+m:]
				continue
			}
			w := known(sql[:n])
			sql = sql[n:]
			if body && (w == "begin" || w == "then" || w == "else" || w == "loop") {
				next()
				continue
			}
			s.word(w)
		case c == ';':
			next()
			sql = sql[1:]
		default:
			if c > ' ' {
				s.sign(c)
			}
			sql = sql[1:]
		}
	}
	next()
	return left
}

func isLetter(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c >= 0x80
}

// known is an unquoted word as knownWords has it.
func known(word string) string {
	var lower [32]byte
	if first := (word[0] | 0x20) - 'a'; first >= 26 || len(word) >= len(lower) || knownLengths[first]&(1<<len(word)) == 0 {
		return ""
	}
	for i := range len(word) {
		c := word[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	return knownWords[string(lower[:len(word)])]
}

// lengthOfQuoted is that of what is quoted by the text's first byte, which stands for
// itself when it is doubled.
func lengthOfQuoted(sql string, backslashes bool) int {
	for i := 1; i < len(sql); i++ {
		switch {
		case backslashes && sql[i] == '\\':
			i++
		case sql[i] != sql[0]:
		case i+1 < len(sql) && sql[i+1] == sql[0]:
			i++
		default:
			return i + 1
		}
	}
	return len(sql)
}

// dollarQuoted is the length of what a text's first tag quotes, and what is between
// the tags; a dollar alone quotes nothing.
func dollarQuoted(sql string) (n int, content string) {
	end := 1
	for end < len(sql) && (isLetter(sql[end]) || end > 1 && '0' <= sql[end] && sql[end] <= '9') {
		end++
	}
	if end == len(sql) || sql[end] != '$' {
		return 1, ""
	}
	tag := sql[:end+1]
	content, _, closed := strings.Cut(sql[len(tag):], tag)
	if !closed {
		return len(sql), content
	}
	return 2*len(tag) + len(content), content
}

// lengthOfComment is that of a comment, with those in it.
func lengthOfComment(sql string) int {
	depth := 0
	for i := 0; i+1 < len(sql); i++ {
		switch sql[i : i+2] {
		case "/*":
			depth++
			i++
		case "*/":
			if depth--; depth == 0 {
				return i + 2
			}
			i++
		}
	}
	return len(sql)
}
