package onepoolcheck

import (
	"cmp"
	"go/ast"
	"go/types"
	"reflect"
	"slices"

	"golang.org/x/tools/go/analysis"
)

// functionsAnalyzer summarizes the use of pools and functions that a caller hands to a
// function. go/analysis carries the facts from package to package.
var functionsAnalyzer = &analysis.Analyzer{
	Name:       "onepoolfunctions",
	Doc:        "collect what functions do with a pool, for the rules of onepoolcheck",
	FactTypes:  []analysis.Fact{new(summary)},
	ResultType: reflect.TypeFor[*functions](),
	Run:        summarizeAll,
}

// functions is the rules' knowledge of a package's functions and variables.
type functions struct {
	pass      *analysis.Pass
	defs      map[types.Object]definition
	summaries map[*types.Func]*summary
	decls     map[*types.Func]*ast.FuncDecl

	transactors map[types.Type]bool
}

// summary describes a single function.
type summary struct {
	Uses    []use  // connections that the function takes
	Runs    []run  // functions that the function calls in a transaction
	Calls   []int  // the parameters that the function calls itself
	Network string // a call over the network, "" for none
}

// AFact marks a summary as a fact of go/analysis.
func (*summary) AFact() {}

// Roots of a use besides the parameters.
const (
	ofReceiver = -1
	ofPackage  = -2
)

// use names a pool as the caller of the function sees the pool.
type use struct {
	Root     int    // the index of a parameter, or ofReceiver, or ofPackage
	Variable string // of the package, for ofPackage
	Fields   string
}

// run notes that a function calls the parameter in a transaction of the pool.
type run struct {
	Param int
	Pool  use
}

// rounds bounds the depth of followed calls.
const rounds = 6

func summarizeAll(pass *analysis.Pass) (any, error) {
	f := &functions{pass: pass, summaries: make(map[*types.Func]*summary), decls: make(map[*types.Func]*ast.FuncDecl), transactors: make(map[types.Type]bool)}
	if !concernsPools(pass.Pkg) {
		return f, nil
	}
	f.defs = definitions(pass)
	for _, obj := range pass.TypesInfo.Uses {
		if fn, ok := obj.(*types.Func); ok && fn.Pkg() != nil && fn.Pkg() != pass.Pkg {
			s := new(summary)
			if fn = fn.Origin(); pass.ImportObjectFact(fn, s) {
				f.summaries[fn] = s
			}
		}
	}
	for _, file := range pass.Files {
		for _, decl := range file.Decls {
			if d, ok := decl.(*ast.FuncDecl); ok && d.Body != nil {
				if fn, ok := pass.TypesInfo.Defs[d.Name].(*types.Func); ok {
					f.decls[fn] = d
				}
			}
		}
	}
	for range rounds {
		changed := false
		for fn, decl := range f.decls {
			s := f.summarize(fn, decl)
			changed = changed || !reflect.DeepEqual(s, f.summaries[fn])
			f.summaries[fn] = s
		}
		if !changed {
			break
		}
	}
	for fn := range f.decls {
		if s := f.summaries[fn]; len(s.Uses) > 0 || len(s.Runs) > 0 || len(s.Calls) > 0 || s.Network != "" {
			pass.ExportObjectFact(fn, s)
		}
	}
	return f, nil
}

// isDriver reports whether the package is a driver's: no summary describes a driver's function.
func isDriver(pkg *types.Package) bool {
	path := packagePath(pkg)
	return path == pgxPath || path == "database/sql" || path == pgxPath+"/pgxpool" || path == pgxPath+"/pgconn" || path == pgxPath+"/stdlib"
}

// concernsPools reports whether the package can see a pool at all.
func concernsPools(pkg *types.Package) bool {
	if isDriver(pkg) {
		return false
	}
	seen := make(map[*types.Package]bool)
	var reaches func(p *types.Package) bool
	reaches = func(p *types.Package) bool {
		if seen[p] {
			return false
		}
		seen[p] = true
		return isDriver(p) || packagePath(p) == fxdbPath || slices.ContainsFunc(p.Imports(), reaches)
	}
	return reaches(pkg)
}

func (f *functions) summarize(fn *types.Func, decl *ast.FuncDecl) *summary {
	s := new(summary)
	if !f.choosesItsTx(fn, decl) {
		f.visit(decl.Body, true, false, func(call *ast.CallExpr) {
			for _, p := range f.taken(call) {
				if u, ok := relative(fn, p); ok && !slices.Contains(s.Uses, u) {
					s.Uses = append(s.Uses, u)
				}
			}
			if s.Network == "" {
				s.Network = f.network(call)
			}
		})
	}
	s.Calls = f.called(fn, region{nodes: []ast.Node{decl.Body}, deferred: true})
	for _, r := range f.regions(decl) {
		pool, ok := relative(fn, r.pool)
		if !ok {
			continue
		}
		for _, i := range f.called(fn, r) {
			if run := (run{i, pool}); !slices.Contains(s.Runs, run) {
				s.Runs = append(s.Runs, run)
			}
		}
	}
	slices.SortFunc(s.Uses, compareUses)
	return s
}

// choosesItsTx reports whether the function compares a possible transaction among the
// parameters with nil. The function then takes a connection only if the caller has no
// transaction.
func (f *functions) choosesItsTx(fn *types.Func, decl *ast.FuncDecl) bool {
	chooses := false
	ast.Inspect(decl.Body, func(n ast.Node) bool {
		b, ok := n.(*ast.BinaryExpr)
		if !ok || !isNil(f.pass.TypesInfo, b.Y) {
			return true
		}
		id, ok := ast.Unparen(b.X).(*ast.Ident)
		if !ok {
			return true
		}
		v, _ := f.pass.TypesInfo.ObjectOf(id).(*types.Var)
		if v != nil && paramIndex(fn, v) >= 0 && (inTransaction[typeName(v.Type())] || types.IsInterface(v.Type())) {
			chooses = true
		}
		return true
	})
	return chooses
}

// called returns the parameters of fn that the region calls.
func (f *functions) called(fn *types.Func, r region) (params []int) {
	add := func(e ast.Expr) {
		if p := f.pathOf(e); p.fields == "" && p.root != nil {
			if i := paramIndex(fn, p.root); i >= 0 && !slices.Contains(params, i) {
				params = append(params, i)
			}
		}
	}
	if r.ref != nil {
		add(r.ref)
	}
	for _, node := range r.nodes {
		f.visit(node, r.deferred, false, func(call *ast.CallExpr) {
			if callee(f.pass.TypesInfo, call) == nil {
				add(call.Fun)
			}
			for i, arg := range call.Args {
				if _, ok := ast.Unparen(arg).(*ast.Ident); ok && f.runsNow(call, i, false) {
					add(arg)
				}
			}
		})
	}
	slices.Sort(params)
	return params
}

// taken returns the pools whose connections a call takes.
func (f *functions) taken(call *ast.CallExpr) (pools []valuePath) {
	info := f.pass.TypesInfo
	fn := callee(info, call)
	if fn == nil {
		return nil
	}
	if f.takesConnection(call) {
		sel, _ := receiver(info, call)
		if p := embedded(f.pathOf(sel.X), info.Selections[sel], false); p.known() {
			return []valuePath{p}
		}
		return nil
	}
	if beginners[funcName(fn)] && len(call.Args) > 1 {
		if inTransaction[typeName(info.TypeOf(call.Args[1]))] {
			return nil
		}
		return []valuePath{f.pathOf(call.Args[1])}
	}
	if s := f.summaries[fn]; s != nil {
		for _, u := range s.Uses {
			if p := f.absolute(u, fn, call.Fun, call.Args); p.known() {
				pools = append(pools, p)
			}
		}
	}
	return pools
}

// beginners run a function in a transaction of the second argument.
var beginners = set(pgxPath + ".BeginFunc " + pgxPath + ".BeginTxFunc")

// absolute translates a use of fn's into the caller's view.
func (f *functions) absolute(u use, fn *types.Func, name ast.Expr, args []ast.Expr) valuePath {
	info := f.pass.TypesInfo
	switch {
	case u.Root == ofPackage:
		if fn.Pkg() == nil {
			return valuePath{}
		}
		v, ok := fn.Pkg().Scope().Lookup(u.Variable).(*types.Var)
		if !ok {
			return valuePath{}
		}
		return f.extend(valuePath{root: v}, u.Fields)
	case u.Root == ofReceiver:
		sel, ok := ast.Unparen(name).(*ast.SelectorExpr)
		if !ok || info.Selections[sel] == nil {
			return valuePath{}
		}
		return f.extend(embedded(f.pathOf(sel.X), info.Selections[sel], false), u.Fields)
	case u.Root < len(args) && !(signature(fn).Variadic() && u.Root >= signature(fn).Params().Len()-1):
		if inTransaction[typeName(info.TypeOf(args[u.Root]))] {
			return valuePath{}
		}
		return f.extend(f.pathOf(args[u.Root]), u.Fields)
	}
	return valuePath{}
}

// extend adds fields to a path. If a composite literal fills the variable, extend follows the
// literal's values.
func (f *functions) extend(p valuePath, fields string) valuePath {
	if p.root == nil {
		return p
	}
	if p.fields == "" && fields != "" {
		first, rest := cutField(fields)
		if value := f.literalField(p.root, first); value != nil {
			return f.extend(f.pathOf(value), rest)
		}
	}
	p.fields += fields
	return p
}

// relative translates a path into the view of the function's callers.
func relative(fn *types.Func, p valuePath) (use, bool) {
	if p.root == nil {
		return use{}, false
	}
	if recv := signature(fn).Recv(); recv != nil && recv == p.root {
		return use{Root: ofReceiver, Fields: p.fields}, true
	}
	if i := paramIndex(fn, p.root); i >= 0 {
		return use{Root: i, Fields: p.fields}, true
	}
	if fn.Pkg() != nil && p.root.Parent() == fn.Pkg().Scope() {
		return use{Root: ofPackage, Variable: p.root.Name(), Fields: p.fields}, true
	}
	return use{}, false
}

func paramIndex(fn *types.Func, obj types.Object) int {
	params := signature(fn).Params()
	for i := range params.Len() {
		if params.At(i) == obj {
			return i
		}
	}
	return -1
}

func compareUses(a, b use) int {
	return cmp.Or(cmp.Compare(a.Root, b.Root), cmp.Compare(a.Variable, b.Variable), cmp.Compare(a.Fields, b.Fields))
}
