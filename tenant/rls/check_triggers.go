package rls

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// checkTrigger judges a trigger of a tenants' table.
func (v *verifier) checkTrigger(t *table, trigger attachment, f *function) {
	object := t.object() + "." + trigger.Name
	if at, found := f.worst(); f.Definer && (found && at.bypasses || v.bypasses(f.OwnerBypasses, f.OwnerOID, t)) {
		v.add("trigger-definer", object, fmt.Sprintf("alter function %s security invoker;", f.sql()), "Every write runs %s as %s, whom no policy limits to a tenant.", f.object(), f.Owner)
	}
	if f.MayOwn && !t.MayOwn {
		v.ownedFunction(f, "every write to "+t.object())
	}
	v.checkCopies(object, f)
	v.checkNotifications(object, t, trigger, f)
}

// checkCopies looks for tables without policies that the trigger copies rows to.
func (v *verifier) checkCopies(object string, f *function) {
	open := func(t *table) bool { return !t.scoped && !t.Secured && t.CanSelect }
	for _, copied := range v.writes(f) {
		if open(copied) {
			v.add("trigger-copies", object, fmt.Sprintf("revoke select on %s from public, %s;", copied.sql(), quote(v.session.Role)),
				"The trigger writes to %s at every tenant's statements, and the role reads that table without a policy: the copied values and times are every tenant's.", copied.object())
		}
	}
	if v.found(object, "trigger-copies") || !slices.ContainsFunc(v.withCalled([]*function{f}), (*function).buildsStatements) {
		return
	}
	writable := func(t *table) bool {
		if f.Definer {
			return f.OwnerBypasses || f.OwnerOID == t.OwnerOID
		}
		return t.CanInsert || t.CanUpdate
	}
	if i := slices.IndexFunc(v.tables, func(t *table) bool { return open(t) && writable(t) }); i >= 0 {
		t := v.tables[i]
		v.add("trigger-copies", object, fmt.Sprintf("-- name the tables in the trigger's function, or:\n-- revoke select on %s from public, %s;", t.sql(), quote(v.session.Role)),
			"The trigger builds its statements, so the catalog does not show their tables, and may write to %s, which the role reads without a policy.", t.object())
	}
}

var written = regexp.MustCompile(`(?:insert\s+into|update|merge\s+into)\s+(?:only\s+)?(` + chain.String() + `)`)

// writes are the tables that the function's own statements write to.
func (c *catalog) writes(f *function) (out []*table) {
	code := f.text.code
	if f.text.names("execute") {
		code = lowerASCII(f.Source)
	}
	for _, m := range written.FindAllStringSubmatch(code, -1) {
		for _, k := range namesIn(m[1]) {
			for _, full := range c.names.meant(k, f) {
				if t := c.names.tables[full]; t != nil && !slices.Contains(out, t) {
					out = append(out, t)
				}
			}
		}
	}
	return out
}

// buildsStatements reports whether the function executes a text that is no literal. The
// verifier reads no other languages than SQL and PL/pgSQL.
func (f *function) buildsStatements() bool {
	switch f.Language {
	case "sql", "internal", "c":
		return false
	case "plpgsql":
		return slices.ContainsFunc(executed(f.Source), func(expression string) bool { _, whole := leadingLiteral(expression); return !whole })
	}
	return true
}

// checkNotifications looks for rows in the payloads of notifications: no policy keeps a
// session from LISTEN.
func (v *verifier) checkNotifications(object string, t *table, trigger attachment, f *function) {
	keys := v.keyColumns(t)
	for _, payload := range v.payloads(f) {
		code := readSQL(payload).code
		fix := "-- send the key only, and let the listener read the row under the policies"
		if wholeRow.MatchString(code) || slices.ContainsFunc(trigger.Rows, func(rows string) bool { return readSQL(payload).names(rows) }) {
			v.add("trigger-notifies", object, fix, "The trigger sends rows of %s in notifications, and every session may LISTEN: each tenant receives every tenant's rows.", t.object())
			return
		}
		for _, m := range rowColumn.FindAllStringSubmatch(code, -1) {
			if name := strings.Trim(m[1], `"`); !slices.Contains(keys, name) && !v.found(object, "trigger-notifies") {
				v.addAs(LevelWarn, FailOpen, "trigger-notifies", object, fix,
					"The trigger sends the column %s of %s in notifications, and every session may LISTEN: each tenant receives every tenant's values.", name, t.object())
			}
		}
	}
}

var (
	// wholeRow matches NEW and OLD without a column.
	wholeRow = regexp.MustCompile(`(?:^|[^a-z0-9_.$"])(?:new|old)(?:\s*\.\s*\*|\s*[^a-z0-9_$".\s]|\s+[^.\s]|\s*$)`)
	// rowColumn matches a column of NEW or OLD.
	rowColumn = regexp.MustCompile(`(?:^|[^a-z0-9_.$"])(?:new|old)\s*\.\s*("[^"]+"|[a-z_][a-z0-9_$]*)`)
)

// keyColumns are the lower-case names of the tenant column and of the primary key.
func (v *verifier) keyColumns(t *table) (names []string) {
	for _, c := range v.columns {
		inKey := func(k key) bool { return k.Table == t.OID && k.Primary && slices.Contains(k.Columns, c.Num) }
		if c.Table == t.OID && (c.Num == t.AttNum || slices.ContainsFunc(v.keys, inKey)) {
			names = append(names, lowerASCII(c.Name))
		}
	}
	return names
}

var notifyStatement = regexp.MustCompile(`^\s*notify\s`)

// payloads are the expressions that the trigger's function sends in notifications, by itself
// or through functions that the body calls. A variable stands for the values that the body
// gives the variable.
func (c *catalog) payloads(f *function) (out []string) {
	for _, arguments := range callsOf(f.Source, "pg_notify") {
		if len(arguments) > 1 {
			out = append(out, arguments[1])
		}
	}
	for _, expression := range executed(f.Source) {
		if text, _ := leadingLiteral(expression); notifyStatement.MatchString(lowerASCII(text)) {
			out = append(out, expression)
		}
	}
	for _, g := range c.functions {
		if g == f || !slices.ContainsFunc(f.text.calls, func(call call) bool { return call.name == lowerASCII(g.Name) }) {
			continue
		}
		if slices.ContainsFunc(c.withCalled([]*function{g}), func(g *function) bool {
			return slices.ContainsFunc(g.text.calls, func(call call) bool { return call.name == "pg_notify" }) || g.text.names("notify")
		}) {
			for _, arguments := range callsOf(f.Source, lowerASCII(g.Name)) {
				out = append(out, strings.Join(arguments, ", "))
			}
		}
	}
	for i := range out {
		out[i] = withAssigned(out[i], f.Source)
	}
	return out
}
