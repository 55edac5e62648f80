package oracle

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/wasilibs/go-pgquery/parser"

	"github.com/agentagency/onepool/internal/sqllex"
)

// guarded are the first parts of the names of the settings that [reading] reports as a guard.
var guarded = []string{"app", "role", "session_authorization", "row_security", "standard_conforming_strings", "backslash_quote", "client_encoding"}

// reading is what PostgreSQL's parser makes of a text.
type reading struct {
	kinds     []sqllex.Kind
	notPlain  string // why the text is not plain
	endsScope bool
	guard     bool // SET or RESET of a guarded setting, or a write to pg_settings
}

// node is one of the parser's tree.
type node map[string]any

func (n node) text(field string) string { s, _ := n[field].(string); return s }
func (n node) is(field string) bool     { b, _ := n[field].(bool); return b }
func (n node) number(field string) int  { f, _ := n[field].(float64); return int(f) }
func (n node) node(fields ...string) node {
	for _, field := range fields {
		n = asNode(n[field])
	}
	return n
}
func (n node) list(field string) []any { l, _ := n[field].([]any); return l }

func asNode(v any) node { m, _ := v.(map[string]any); return m }

// read parses the text. It returns false for one that PostgreSQL does not take.
func read(sql string) (r reading, ok bool) {
	tree, err := parser.ParseToJSON(sql)
	if err != nil {
		return r, false
	}
	var root node
	if err := json.Unmarshal([]byte(tree), &root); err != nil {
		panic(err)
	}
	for _, raw := range root.list("stmts") {
		statement := asNode(raw).node("stmt")
		r.kinds = append(r.kinds, kindOf(statement))
		r.head(statement)
		r.walk("", map[string]any(statement))
	}
	return r, true
}

func (r *reading) because(format string, args ...any) {
	if r.notPlain == "" {
		r.notPlain = fmt.Sprintf(format, args...)
	}
}

// only returns the name and fields of a node that stands for one statement.
func only(n node) (name string, fields node) {
	for name, v := range n {
		return name, asNode(v)
	}
	return "", nil
}

// head is sqllex's allow-list once more.
func (r *reading) head(statement node) {
	switch name, s := only(statement); name {
	case "SelectStmt", "TruncateStmt", "FetchStmt", "ClosePortalStmt", "VariableShowStmt", "LockStmt", "NotifyStmt", "ConstraintsSetStmt",
		"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt":
	case "ExplainStmt":
		r.head(s.node("query"))
	case "CopyStmt":
		if s.text("filename") != "" || s.is("is_program") {
			r.because("copy with a file")
		}
	case "DeclareCursorStmt":
		if s.number("options")&0x20 != 0 { // CURSOR_OPT_HOLD
			r.because("with hold")
		}
	case "TransactionStmt":
		r.endsScope = r.endsScope || !isSavepoint(s)
	case "VariableSetStmt":
		r.sets(s)
	case "CreateStmt":
		if s.node("relation").text("relpersistence") != "t" || s.text("oncommit") != "ONCOMMIT_DROP" {
			r.because("create table")
		}
	case "CreateTableAsStmt":
		into := s.node("into")
		if into.node("rel").text("relpersistence") != "t" || into.text("onCommit") != "ONCOMMIT_DROP" || s.node("query")["ExecuteStmt"] != nil {
			r.because("create table as")
		}
	default:
		r.because("%s", name)
	}
}

func isSavepoint(s node) bool {
	switch s.text("kind") {
	case "TRANS_STMT_SAVEPOINT", "TRANS_STMT_RELEASE", "TRANS_STMT_ROLLBACK_TO":
		return true
	}
	return false
}

func (r *reading) sets(s node) {
	name := strings.ToLower(s.text("name"))
	if s.text("kind") == "VAR_SET_MULTI" {
		if name == "session characteristics" {
			r.because("%s", name)
		}
		return
	}
	first, _, _ := strings.Cut(name, ".")
	isGuarded := s.text("kind") == "VAR_RESET_ALL" || slices.Contains(guarded, first)
	r.guard = r.guard || isGuarded
	if isGuarded || !s.is("is_local") || name == "seed" {
		r.because("set %s", name)
	}
}

// walk looks at every node of the tree.
func (r *reading) walk(name string, v any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			r.walk("", e)
		}
	case map[string]any:
		n := node(v)
		switch name {
		case "intoClause":
			r.because("select into")
		case "FuncCall":
			r.calls(n)
		case "InsertStmt", "UpdateStmt", "MergeStmt":
			if n.node("relation").text("relname") == "pg_settings" {
				r.because("it writes pg_settings")
				r.guard = true
			}
		case "CreateFunctionStmt", "RuleStmt":
			return // not plain for another reason
		}
		if isTemp(n.text("schemaname")) {
			r.because("pg_temp")
		}
		for field, inner := range v {
			r.walk(field, inner)
		}
	}
}

func isTemp(schema string) bool {
	return schema == "pg_temp" || strings.HasPrefix(schema, "pg_temp_") || strings.HasPrefix(schema, "pg_toast_temp")
}

// runs are the tainting functions that the texts call.
const runs = " setseed pg_advisory_lock pg_try_advisory_lock pg_advisory_unlock_all query_to_xml ts_stat dblink_connect "

func (r *reading) calls(f node) {
	var names []string
	for _, n := range f.list("funcname") {
		names = append(names, asNode(n).node("String").text("sval"))
	}
	name, args := names[len(names)-1], f.list("args")
	constant := func(i int, kind string) any { return asNode(args[i]).node("A_Const", kind)[kind] }
	switch {
	case isTemp(names[0]):
		r.because("pg_temp")
	case strings.Contains(runs, " "+name+" "):
		r.because("%s", name)
	case name == "ts_rewrite" && len(args) != 3:
		r.because("ts_rewrite over a text")
	case name == "set_config":
		if len(args) != 3 || constant(2, "boolval") != true || constant(0, "sval") == nil || constant(0, "sval") == "seed" ||
			strings.EqualFold(fmt.Sprint(constant(0, "sval")), "client_encoding") {
			r.because("set_config")
		}
	}
}

var kinds = map[string]sqllex.Kind{
	"SelectStmt": sqllex.KindSelect, "InsertStmt": sqllex.KindInsert, "UpdateStmt": sqllex.KindUpdate, "DeleteStmt": sqllex.KindDelete,
	"MergeStmt": sqllex.KindMerge, "ExplainStmt": sqllex.KindExplain, "TruncateStmt": sqllex.KindTruncate, "CopyStmt": sqllex.KindCopy,
	"DeclareCursorStmt": sqllex.KindDeclare, "FetchStmt": sqllex.KindFetch, "ClosePortalStmt": sqllex.KindClose, "VariableShowStmt": sqllex.KindShow,
	"LockStmt": sqllex.KindLock, "NotifyStmt": sqllex.KindNotify, "ListenStmt": sqllex.KindListen, "UnlistenStmt": sqllex.KindListen,
	"TransactionStmt": sqllex.KindControl, "VariableSetStmt": sqllex.KindSet, "ConstraintsSetStmt": sqllex.KindSetConstraints,
	"PrepareStmt": sqllex.KindPrepare, "ExecuteStmt": sqllex.KindExecute, "DeallocateStmt": sqllex.KindDeallocate,
	"DiscardStmt": sqllex.KindDiscard, "CallStmt": sqllex.KindCall, "DoStmt": sqllex.KindDo, "LoadStmt": sqllex.KindLoad,
}

func kindOf(statement node) sqllex.Kind {
	name, s := only(statement)
	kind, ok := kinds[name]
	switch {
	case !ok:
		return sqllex.KindDefine
	case kind == sqllex.KindControl && isSavepoint(s):
		return sqllex.KindSavepoint
	}
	return kind
}
