package onepoolcheck

import (
	"go/ast"
	"go/token"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// directive begins a comment that allows a finding: //onepoolcheck:allow RULE REASON
const directive = "//onepoolcheck:allow"

// reporter reports the findings of a rule, less the findings that a comment allows, and less
// the findings in tests.
type reporter struct {
	pass    *analysis.Pass
	config  *config
	allowed map[token.Position]bool // file and line alone
	done    map[token.Pos]bool
}

// newReporter reads the package's directives for the pass's rule. A directive without a
// reason allows nothing, and newReporter reports the directive.
func newReporter(pass *analysis.Pass) (*reporter, error) {
	r := &reporter{pass: pass, allowed: make(map[token.Position]bool), done: make(map[token.Pos]bool)}
	if len(pass.Files) == 0 {
		r.config = &config{}
		return r, nil
	}
	var err error
	r.config, err = findConfig(filepath.Dir(pass.Fset.Position(pass.Files[0].Pos()).Filename))
	if err != nil {
		return nil, err
	}
	for _, file := range pass.Files {
		for _, group := range file.Comments {
			for _, c := range group.List {
				r.read(file, group, c)
			}
		}
	}
	return r, nil
}

func (r *reporter) read(file *ast.File, group *ast.CommentGroup, c *ast.Comment) {
	rest, ok := strings.CutPrefix(c.Text, directive+" ")
	if !ok {
		return
	}
	rule, reason, _ := strings.Cut(strings.TrimSpace(rest), " ")
	if rule != r.pass.Analyzer.Name {
		return
	}
	if strings.TrimSpace(reason) == "" {
		r.pass.Reportf(c.Pos(), "%s %s needs a reason: write why this place is right", directive, rule)
		return
	}
	from, to := r.line(c.Pos()), r.line(group.End())+1
	if decl := documented(file, group); decl != nil {
		to = r.line(decl.End())
	}
	name := r.pass.Fset.Position(c.Pos()).Filename
	for line := from; line <= to; line++ {
		r.allowed[token.Position{Filename: name, Line: line}] = true
	}
}

// documented returns the declaration whose doc comment the group is.
func documented(file *ast.File, group *ast.CommentGroup) ast.Node {
	i := slices.IndexFunc(file.Decls, func(d ast.Decl) bool {
		switch d := d.(type) {
		case *ast.FuncDecl:
			return d.Doc == group
		case *ast.GenDecl:
			return d.Doc == group
		}
		return false
	})
	if i < 0 {
		return nil
	}
	return file.Decls[i]
}

func (r *reporter) line(pos token.Pos) int { return r.pass.Fset.Position(pos).Line }

// report reports a finding once for each place.
func (r *reporter) report(node ast.Node, message string, fixes ...analysis.SuggestedFix) {
	at := r.pass.Fset.Position(node.Pos())
	if r.done[node.Pos()] || r.inTest(node) || r.allowed[token.Position{Filename: at.Filename, Line: at.Line}] {
		return
	}
	r.done[node.Pos()] = true
	r.pass.Report(analysis.Diagnostic{Pos: node.Pos(), End: node.End(), Message: message, SuggestedFixes: fixes})
}

// inTest reports whether the node is in a _test.go file and the rules leave tests alone.
func (r *reporter) inTest(node ast.Node) bool {
	return !r.config.Tests && strings.HasSuffix(r.pass.Fset.Position(node.Pos()).Filename, "_test.go")
}
