package rls

import (
	"fmt"
	"slices"
	"strings"
)

// checkPath judges the objects that the names in a definer function's body may mean.
func (v *verifier) checkPath(f *function) {
	path, fixed := f.path()
	if !fixed {
		v.searchPath(f, "pg_catalog, pg_temp", "the caller's search_path decides which objects the names mean")
		return
	}
	keep := slices.DeleteFunc(slices.Clone(path), func(s string) bool { return s == "pg_temp" || slices.Contains(v.session.Creatable, s) })
	for i, schema := range keep {
		keep[i] = quote(schema)
	}
	fix := strings.Join(append(keep, "pg_temp"), ", ")
	for _, schema := range path {
		if slices.Contains(v.session.Creatable, schema) {
			v.searchPath(f, fix, fmt.Sprintf("the role may create objects in %s, a schema of the function's search_path", schema))
		}
	}
	// The server searches pg_temp first if the path does not name pg_temp.
	if v.session.Temporary && path[len(path)-1] != "pg_temp" && !f.Standard && slices.ContainsFunc(f.mentions(), func(k named) bool {
		return k.schema == "" && slices.ContainsFunc(v.names.meant(k, f), func(full named) bool { return v.names.tables[full] != nil || v.names.views[full] != nil })
	}) {
		v.searchPath(f, fix, "a temporary table may replace the table that the body names without a schema")
	}
}

func (v *verifier) searchPath(f *function, path, how string) {
	if v.found(f.object(), "function-search-path") {
		return
	}
	v.add("function-search-path", f.object(), fmt.Sprintf("alter function %s set search_path = %s;", f.sql(), path),
		"The caller can make the owner %s run the caller's objects: %s.", f.Owner, how)
}

// checkPresetPaths judges the search_path that the role or the database presets.
func (v *verifier) checkPresetPaths() {
	if !v.session.Temporary || v.session.Super {
		return
	}
	for _, preset := range v.around.Paths {
		schemas := pathSchemas(preset.Value)
		at := slices.Index(schemas, "pg_temp")
		if at < 0 || at == len(schemas)-1 {
			continue
		}
		keep := slices.DeleteFunc(schemas, func(s string) bool { return s == "pg_temp" })
		for i, schema := range keep {
			keep[i] = quote(schema)
		}
		v.add("search-path-temporary", preset.Where, fmt.Sprintf("alter %s set search_path = %s, pg_temp;", presetOwner(preset.Where), strings.Join(keep, ", ")),
			"A temporary table hides the table of the same name in %s: statements of the session read and write the temporary table.", strings.Join(schemas[at+1:], ", "))
	}
}

// pathSchemas are the schemas of a search_path, without quotes.
func pathSchemas(path string) (out []string) {
	for part := range strings.SplitSeq(path, ",") {
		part = strings.TrimSpace(part)
		if !strings.HasPrefix(part, `"`) {
			part = lowerASCII(part)
		}
		out = append(out, strings.Trim(part, `"`))
	}
	return out
}
