package rls

import (
	"regexp"
	"slices"
	"strings"
)

// sqlText is an expression or a function's body as the verifier reads the text: quotes,
// comments and parentheses, and no grammar.
type sqlText struct {
	code  string // lower-case, without literals and comments
	reads []settingRead
	calls []call
}

// settingRead is a call of current_setting with a literal name.
type settingRead struct {
	name      string
	missingOK bool
	wrapped   bool // inside a sub-select
	nullif    bool // inside a nullif
}

type call struct {
	name    string // without its schema
	wrapped bool
}

type paren struct {
	word     string // the word before the parenthesis
	selects  bool   // a sub-select
	literals []string
	start    int // of the inside, in code
}

// readSQL scans the text.
func readSQL(text string) sqlText {
	var t sqlText
	var code strings.Builder
	var stack []paren
	lower := lowerASCII(text) // the same length as text
	for i := 0; i < len(lower); {
		switch c := lower[i]; {
		case c == '\'':
			end := literalEnd(lower, i)
			if len(stack) > 0 {
				top := &stack[len(stack)-1]
				top.literals = append(top.literals, strings.ReplaceAll(strings.Trim(text[i:end], "'"), "''", "'"))
			}
			code.WriteString("''")
			i = end
		case strings.HasPrefix(lower[i:], "--"):
			i = after(lower, i, "\n")
		case strings.HasPrefix(lower[i:], "/*"):
			i = after(lower, i, "*/")
		case c == '(':
			done := code.String()
			inside := strings.TrimSpace(lower[i+1:])
			p := paren{word: lastWord(done), selects: strings.HasPrefix(inside, "select"), start: len(done) + 1}
			if p.word != "" {
				t.calls = append(t.calls, call{p.word, within(stack, func(p paren) bool { return p.selects })})
			}
			stack = append(stack, p)
			code.WriteByte(c)
			i++
		case c == ')':
			if len(stack) > 0 {
				p := stack[len(stack)-1]
				stack = stack[:len(stack)-1]
				if p.word == "current_setting" && len(p.literals) > 0 {
					t.reads = append(t.reads, settingRead{
						name:      strings.ToLower(p.literals[0]),
						missingOK: strings.Contains(code.String()[p.start:], "true"),
						wrapped:   within(stack, func(p paren) bool { return p.selects }),
						nullif:    within(stack, func(p paren) bool { return p.word == "nullif" }),
					})
				}
			}
			code.WriteByte(c)
			i++
		default:
			code.WriteByte(c)
			i++
		}
	}
	t.code = code.String()
	return t
}

func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

func literalEnd(s string, start int) int {
	escapes := start > 0 && s[start-1] == 'e'
	for i := start + 1; i < len(s); i++ {
		switch {
		case escapes && s[i] == '\\':
			i++
		case s[i] == '\'' && i+1 < len(s) && s[i+1] == '\'':
			i++
		case s[i] == '\'':
			return i + 1
		}
	}
	return len(s)
}

func after(s string, start int, mark string) int {
	if end := strings.Index(s[start:], mark); end >= 0 {
		return start + end + len(mark)
	}
	return len(s)
}

func within(stack []paren, is func(paren) bool) bool { return slices.ContainsFunc(stack, is) }

var trailingWord = regexp.MustCompile(`([a-z_][a-z0-9_$]*)"?\s*$`)

// lastWord is the name before a parenthesis. A keyword is no name.
func lastWord(code string) string {
	m := trailingWord.FindStringSubmatch(code[max(0, len(code)-maxName-4):])
	if m == nil {
		return ""
	}
	switch m[1] {
	case "and", "or", "not", "in", "any", "all", "select", "where", "from", "when", "then", "else", "case", "is", "on", "as", "exists", "array", "using", "check", "values":
		return ""
	}
	return m[1]
}

// readsSetting reports whether the text reads the setting, without functions.
func (t sqlText) readsSetting(name string) bool {
	return slices.ContainsFunc(t.reads, func(r settingRead) bool { return r.name == name })
}

// names reports whether the text has the identifier.
func (t sqlText) names(identifier string) bool {
	re, err := regexp.Compile(`(^|[^a-z0-9_$])` + regexp.QuoteMeta(lowerASCII(identifier)) + `($|[^a-z0-9_$])`)
	return err == nil && re.MatchString(t.code)
}

// roleNames matches the keywords. Double quotes make the same words columns.
var roleNames = regexp.MustCompile(`(^|[^a-z0-9_$."])(current_user|session_user|current_role|user)($|[^a-z0-9_$.(])`)

// asksForRole reports whether the text reads the name of the role.
func (t sqlText) asksForRole() bool { return roleNames.MatchString(t.code) }

// hidesReads reports whether the text may read a setting whose name the text does not show: the
// text builds the name or the statement.
func (t sqlText) hidesReads() bool {
	calls := slices.ContainsFunc(t.calls, func(c call) bool { return c.name == "current_setting" })
	return calls || t.names("execute") || t.names("pg_settings")
}

// isTrue reports whether the text is the constant true.
func (t sqlText) isTrue() bool {
	s := strings.Trim(strings.ReplaceAll(t.code, " ", ""), "()")
	return s == "true" || s == "1=1"
}

// casts reports whether the text casts the column to another type than free. free may be empty.
func (t sqlText) casts(column, free string) bool {
	c := regexp.QuoteMeta(lowerASCII(column))
	re, err := regexp.Compile(`\(([a-z0-9_$"]+\.)*"?` + c + `"?\)::([a-z0-9_ ]+)`)
	return err == nil && slices.ContainsFunc(re.FindAllStringSubmatch(t.code, -1), func(m []string) bool {
		return free == "" || strings.TrimSpace(m[2]) != free && !strings.HasPrefix(m[2], free+" ")
	})
}
