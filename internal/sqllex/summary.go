package sqllex

import "strings"

// Sanitize returns the text without values: a question mark replaces each string and number, and
// comments are gone. ok is false if the lexer can't find the end of a string: then the caller
// may show nothing of the text.
func Sanitize(sql string) (clean string, ok bool) {
	l := lexer{sql: sql}
	var b strings.Builder
	b.Grow(len(sql))
	at := 0
	for {
		t := l.next()
		if l.broken || l.ambiguous {
			return "", false
		}
		if t.kind == end {
			return b.String(), true
		}
		if t.start > at && b.Len() > 0 {
			b.WriteByte(' ')
		}
		at = t.end
		if t.kind == text || t.kind == number {
			b.WriteByte('?')
			continue
		}
		b.WriteString(sql[t.start:t.end])
	}
}

// mostTargets bounds the tables of a summary; mostSummary bounds a summary's bytes.
const (
	mostTargets = 4
	mostSummary = 255
)

// operations are the first words of statements.
var operations = func() map[string]string {
	all := make(map[string]string)
	for _, name := range strings.Fields(`ABORT ALTER ANALYZE BEGIN CALL CHECKPOINT CLOSE CLUSTER COMMENT COMMIT COPY CREATE
		DEALLOCATE DECLARE DELETE DISCARD DO DROP END EXECUTE EXPLAIN FETCH GRANT IMPORT INSERT LISTEN LOAD LOCK MERGE MOVE
		NOTIFY PREPARE REASSIGN REFRESH REINDEX RELEASE RESET REVOKE ROLLBACK SAVEPOINT SECURITY SELECT SET SHOW START
		TABLE TRUNCATE UNLISTEN UPDATE VACUUM VALUES WITH`) {
		all[name] = name
	}
	return all
}()

// Operation returns the first statement's operation in capitals, such as SELECT. After WITH,
// Operation returns the main statement's operation. For a text that begins with no word of SQL,
// such as the name of a prepared statement, Operation returns OTHER. For an empty text Operation
// returns an empty string.
func Operation(sql string) string {
	l := lexer{sql: sql}
	return l.operation()
}

func (l *lexer) operation() (name string) {
	depth := 0
	for {
		t := l.next()
		switch {
		case t.kind == end && name == "WITH":
			return "OTHER"
		case t.kind == end:
			return name
		case t.kind == sign && t.char == '(':
			depth++
		case t.kind == sign && t.char == ')':
			depth--
		case name == "" && t.kind == sign && t.char == ';':
		case name == "WITH" && depth > 0:
		case t.kind == word:
			op := operations[strings.ToUpper(l.sql[t.start:t.end])]
			switch {
			case name == "WITH" && (op == "" || op == "TABLE"):
			case op == "":
				return "OTHER"
			case op == "WITH":
				name = op
			default:
				return op
			}
		case name == "":
			return "OTHER"
		}
	}
}

// Summary returns the first statement's operation and tables, such as "SELECT orders items". A
// program has few summaries, and no summary holds a value. Summary leaves out tables inside of
// subqueries.
func Summary(sql string) string {
	l := lexer{sql: sql}
	name := l.operation()
	switch name {
	case "SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "COPY", "TRUNCATE", "LOCK", "TABLE":
	default:
		return name
	}
	summary, targets, depth := name, mostTargets, 0
	if name == "COPY" || name == "TRUNCATE" || name == "LOCK" {
		targets = 1
	}
	// In COPY, LOCK, TABLE, TRUNCATE and UPDATE the table follows at once; elsewhere a word
	// introduces the table.
	expects := name != "SELECT" && name != "INSERT" && name != "DELETE" && name != "MERGE"
	into := true // columns may follow the table, like arguments follow a function
	for targets > 0 {
		t := l.next()
		switch {
		case t.kind == end, depth == 0 && t.kind == sign && t.char == ';':
			return summary
		case t.kind == sign && t.char == '(':
			depth++
			expects = false
		case t.kind == sign && t.char == ')':
			depth--
		case depth > 0:
		case t.kind == word && introduces(l.sql[t.start:t.end]):
			expects, into = true, strings.EqualFold(l.sql[t.start:t.end], "into")
		case expects && t.kind == word && modifies(l.sql[t.start:t.end]):
		case expects && (t.kind == word || t.kind == quoted):
			table, called := l.qualified(t)
			expects = false
			if called && !into || len(summary)+1+len(table) > mostSummary {
				continue
			}
			summary += " " + table
			targets--
		default:
			expects = false
		}
	}
	return summary
}

// qualified reads a name with the schema. called reports whether a parenthesis follows, as in a
// function call.
func (l *lexer) qualified(first token) (name string, called bool) {
	end := first.end
	for {
		before := *l
		t := l.next()
		if t.kind == sign && t.char == '.' {
			t = l.next()
			if t.kind != word && t.kind != quoted {
				return l.sql[first.start:end], false
			}
			end = t.end
			continue
		}
		called = t.kind == sign && t.char == '('
		*l = before
		return l.sql[first.start:end], called
	}
}

// introduces reports whether a table follows the word.
func introduces(w string) bool {
	switch strings.ToUpper(w) {
	case "FROM", "JOIN", "INTO", "USING":
		return true
	}
	return false
}

// modifies reports whether the word may stand between an introducing word and the table.
func modifies(w string) bool {
	switch strings.ToUpper(w) {
	case "ONLY", "TABLE", "LATERAL":
		return true
	}
	return false
}
