package rls

import (
	"regexp"
	"strings"
)

// callsOf are the arguments of every call of the function in a body, calls in literals too.
// name is in lower case.
func callsOf(source, name string) (out [][]string) {
	lower := lowerASCII(source) // the same length as source
	re, err := regexp.Compile(`(?:^|[^a-z0-9_$])"?` + regexp.QuoteMeta(name) + `"?\s*\(`)
	if err != nil {
		return nil
	}
	for _, at := range re.FindAllStringIndex(lower, -1) {
		arguments := splitTop(source[at[1]:], ',', ')')
		out = append(out, arguments)
	}
	return out
}

// splitTop splits a text at the separators outside of quotes and parentheses, up to the end
// character there.
func splitTop(text string, separator, end byte) (parts []string) {
	depth, start := 0, 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\'':
			i = literalEnd(text, i) - 1
		case c == '"':
			i = min(after(text, i+1, `"`), len(text)) - 1
		case depth == 0 && c == end:
			return append(parts, text[start:i])
		case depth == 0 && c == separator:
			parts, start = append(parts, text[start:i]), i+1
		case c == '(':
			depth++
		case c == ')':
			depth--
		}
	}
	return append(parts, text[start:])
}

var (
	executeWord = regexp.MustCompile(`(?:^|[^a-z0-9_$'])execute\s+`)
	clauseWord  = regexp.MustCompile(`\s(?:using|into|loop)\s`)
)

// executed are the expressions of a body's EXECUTE statements, without INTO and USING.
func executed(source string) (out []string) {
	lower := lowerASCII(source)
	for _, at := range executeWord.FindAllStringIndex(lower, -1) {
		statement := splitTop(source[at[1]:], ';', ';')
		expression := statement[0]
		code := blankLiterals(lowerASCII(expression))
		if clause := clauseWord.FindStringIndex(code); clause != nil {
			expression = expression[:clause[0]]
		}
		if word := strings.Fields(code); len(word) > 0 && word[0] != "function" && word[0] != "procedure" {
			out = append(out, expression)
		}
	}
	return out
}

// blankLiterals replaces the insides of literals by x, and keeps the length.
func blankLiterals(text string) string {
	b := []byte(text)
	for i := 0; i < len(b); i++ {
		if b[i] != '\'' {
			continue
		}
		end := literalEnd(text, i)
		for j := i + 1; j < end-1; j++ {
			b[j] = 'x'
		}
		i = end - 1
	}
	return string(b)
}

var (
	beforeLiteral = regexp.MustCompile(`^[\s(]*(?:(?:pg_catalog\s*\.\s*)?format\s*\(\s*)?[eE]?'`)
	afterLiteral  = regexp.MustCompile(`^(?:\s*::\s*[a-z_ ]+|[\s)])*$`)
)

// leadingLiteral is the literal that an expression begins with, and empty if the expression
// begins with something else. whole reports whether the expression is nothing but the literal.
func leadingLiteral(expression string) (text string, whole bool) {
	at := beforeLiteral.FindStringIndex(lowerASCII(expression))
	if at == nil {
		return "", false
	}
	start := at[1] - 1
	end := literalEnd(expression, start)
	text = strings.ReplaceAll(strings.Trim(expression[start:end], "'"), "''", "'")
	return text, afterLiteral.MatchString(lowerASCII(expression[end:]))
}

var identifier = regexp.MustCompile(`[a-z_][a-z0-9_$]*`)

// variablesIn are the lower-case names of an expression that no dot and no parenthesis make a
// column or a function.
func variablesIn(expression string) (out []string) {
	code := readSQL(expression).code
	for _, at := range identifier.FindAllStringIndex(code, -1) {
		before, behind := strings.TrimRight(code[:at[0]], " "), strings.TrimLeft(code[at[1]:], " ")
		if !strings.HasSuffix(before, ".") && !strings.HasSuffix(before, "::") && !strings.HasPrefix(behind, "(") && !strings.HasPrefix(behind, ".") {
			out = append(out, code[at[0]:at[1]])
		}
	}
	return out
}

// maxExpression bounds the text that withAssigned follows, in bytes.
const maxExpression = 1 << 16

// withAssigned adds to an expression the statements of the body that give a value to a
// variable of the expression: an assignment, or SELECT INTO.
func withAssigned(expression, source string) string {
	statements := strings.Split(lowerASCII(source), ";")
	seen := map[string]bool{"new": true, "old": true}
	for added := true; added && len(expression) < maxExpression; {
		added = false
		for _, name := range variablesIn(expression) {
			if seen[name] {
				continue
			}
			seen[name] = true
			assigns, err := regexp.Compile(`(?s)(?:^|[^a-z0-9_$.])` + name + `\s*(?::=|=|(?:[a-z0-9_ ]+\s)?(?::=|default\s))(.*)|\sinto\s+(?:strict\s+)?(?:[a-z0-9_$]+\s*,\s*)*` + name + `(?:\s|,|$)`)
			if err != nil {
				continue
			}
			for _, statement := range statements {
				m := assigns.FindStringSubmatch(statement)
				switch {
				case m == nil:
				case m[1] != "":
					expression, added = expression+"\n"+m[1], true
				default:
					expression, added = expression+"\n"+statement, true
				}
			}
		}
	}
	return expression
}
