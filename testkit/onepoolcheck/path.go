package onepoolcheck

import (
	"go/ast"
	"go/token"
	"go/types"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// valuePath names a value by a variable and the fields behind the variable: s.store.db.
type valuePath struct {
	root   types.Object
	fields string // ".store.db"
}

func (p valuePath) known() bool { return p.root != nil }

func (p valuePath) String() string {
	if p.root == nil {
		return "a pool"
	}
	return p.root.Name() + p.fields
}

func (p valuePath) field(name string) valuePath {
	if p.root == nil || strings.Count(p.fields, ".") > 6 {
		return valuePath{}
	}
	p.fields += "." + name
	return p
}

// definition is the value of a variable. A variable with two definitions is no alias.
type definition struct {
	value ast.Expr
	index int // of the values of a call
	count int
}

// definitions finds the value of each variable of the package.
func definitions(pass *analysis.Pass) map[types.Object]definition {
	defs := make(map[types.Object]definition)
	define := func(lhs, value ast.Expr, index int) {
		id, ok := ast.Unparen(lhs).(*ast.Ident)
		if !ok {
			return
		}
		obj := pass.TypesInfo.ObjectOf(id)
		if obj == nil {
			return
		}
		defs[obj] = definition{value, index, defs[obj].count + 1}
	}
	for _, file := range pass.Files {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				for i, lhs := range n.Lhs {
					if len(n.Rhs) == len(n.Lhs) {
						define(lhs, n.Rhs[i], 0)
					} else {
						define(lhs, n.Rhs[0], i)
					}
				}
			case *ast.ValueSpec:
				for i, name := range n.Names {
					if len(n.Values) == len(n.Names) {
						define(name, n.Values[i], 0)
					} else if len(n.Values) == 1 {
						define(name, n.Values[0], i)
					}
				}
			case *ast.RangeStmt:
				if n.Key != nil {
					define(n.Key, nil, 0)
				}
				if n.Value != nil {
					define(n.Value, nil, 0)
				}
			case *ast.UnaryExpr:
				if n.Op == token.AND { // somebody may write to the variable
					if id, ok := ast.Unparen(n.X).(*ast.Ident); ok {
						define(id, nil, 0)
					}
				}
			}
			return true
		})
	}
	return defs
}

// alias returns the only value of a local variable.
func (f *functions) alias(obj types.Object) (ast.Expr, bool) {
	v, ok := obj.(*types.Var)
	if !ok || v.IsField() || v.Parent() == f.pass.Pkg.Scope() {
		return nil, false
	}
	d := f.defs[obj]
	if d.count != 1 || d.value == nil || d.index != 0 {
		return nil, false
	}
	if tv := f.pass.TypesInfo.Types[d.value]; tv.Type != nil {
		if _, tuple := tv.Type.(*types.Tuple); tuple {
			return nil, false
		}
	}
	return d.value, true
}

// literal returns an expression as a function literal, also through a variable.
func (f *functions) literal(e ast.Expr) *ast.FuncLit {
	e = ast.Unparen(e)
	if id, ok := e.(*ast.Ident); ok {
		if value, ok := f.alias(f.pass.TypesInfo.ObjectOf(id)); ok {
			e = ast.Unparen(value)
		}
	}
	lit, _ := e.(*ast.FuncLit)
	return lit
}

// pathOf follows an expression to the variable at the expression's beginning.
func (f *functions) pathOf(e ast.Expr) valuePath { return f.follow(e, 0) }

func (f *functions) follow(e ast.Expr, depth int) valuePath {
	if depth > 12 {
		return valuePath{}
	}
	info := f.pass.TypesInfo
	switch e := ast.Unparen(e).(type) {
	case *ast.StarExpr:
		return f.follow(e.X, depth+1)
	case *ast.UnaryExpr:
		if e.Op == token.AND {
			return f.follow(e.X, depth+1)
		}
	case *ast.TypeAssertExpr:
		return f.follow(e.X, depth+1)
	case *ast.Ident:
		obj := info.ObjectOf(e)
		if value, ok := f.alias(obj); ok {
			if p := f.follow(value, depth+1); p.known() {
				return p
			}
		}
		if _, ok := obj.(*types.Var); ok {
			return valuePath{root: obj}
		}
	case *ast.SelectorExpr:
		s := info.Selections[e]
		if s == nil {
			if v, ok := info.Uses[e.Sel].(*types.Var); ok {
				return valuePath{root: v}
			}
			return valuePath{}
		}
		if s.Kind() != types.FieldVal {
			return valuePath{}
		}
		if value := f.fieldOfLiteral(e.X, e.Sel.Name); value != nil {
			return f.follow(value, depth+1)
		}
		return embedded(f.follow(e.X, depth+1), s, true)
	case *ast.CallExpr:
		sel, ok := receiver(info, e)
		if !ok {
			return valuePath{}
		}
		p := embedded(f.follow(sel.X, depth+1), info.Selections[sel], false)
		switch fn := callee(info, e); {
		case sameConnections[funcName(fn)]:
			return p
		case fn != nil && len(e.Args) == 0: // a getter
			return p.field(fn.Name() + "()")
		}
	}
	return valuePath{}
}

// sameConnections are methods whose result is another face of the same pool.
var sameConnections = set(fxdbPath + ".DB.Pool " + fxdbPath + ".DB.Named")

// embedded adds the fields that a selection passes through, and the last field if last is true.
func embedded(p valuePath, s *types.Selection, last bool) valuePath {
	index := s.Index()
	if !last {
		index = index[:len(index)-1]
	}
	t := s.Recv()
	for _, i := range index {
		if ptr, ok := types.Unalias(t).(*types.Pointer); ok {
			t = ptr.Elem()
		}
		st, ok := t.Underlying().(*types.Struct)
		if !ok {
			return valuePath{}
		}
		p = p.field(st.Field(i).Name())
		t = st.Field(i).Type()
	}
	return p
}

// fieldOfLiteral returns the value of s.db, after s := &Store{db: db}.
func (f *functions) fieldOfLiteral(x ast.Expr, name string) ast.Expr {
	id, ok := ast.Unparen(x).(*ast.Ident)
	if !ok {
		return nil
	}
	return f.literalField(f.pass.TypesInfo.ObjectOf(id), name)
}

// literalField returns the value of a variable's field if a composite literal fills the
// variable.
func (f *functions) literalField(obj types.Object, name string) ast.Expr {
	value, ok := f.alias(obj)
	if !ok {
		return nil
	}
	if u, ok := ast.Unparen(value).(*ast.UnaryExpr); ok && u.Op == token.AND {
		value = u.X
	}
	lit, ok := ast.Unparen(value).(*ast.CompositeLit)
	if !ok {
		return nil
	}
	st, _ := f.pass.TypesInfo.TypeOf(lit).Underlying().(*types.Struct)
	for i, element := range lit.Elts {
		if kv, ok := element.(*ast.KeyValueExpr); ok {
			if key, ok := kv.Key.(*ast.Ident); ok && key.Name == name {
				return kv.Value
			}
		} else if st != nil && st.Field(i).Name() == name {
			return element
		}
	}
	return nil
}

// cutField cuts ".store.db" into "store" and ".db".
func cutField(fields string) (first, rest string) {
	first = strings.TrimPrefix(fields, ".")
	if i := strings.IndexByte(first, '.'); i >= 0 {
		return first[:i], first[i:]
	}
	return first, ""
}
