package onepoolcheck

import (
	"go/ast"
	"go/types"
	"strings"
)

// takers lists the methods of each pool that take a connection.
var takers = map[string]map[string]bool{
	fxdbPath + ".DB":             set("Exec Query QueryRow SendBatch CopyFrom Begin BeginTx InTx Acquire Ping Notify"),
	pgxPath + "/pgxpool.Pool":    set("Exec Query QueryRow QueryFunc SendBatch CopyFrom Begin BeginTx BeginFunc BeginTxFunc Acquire AcquireFunc AcquireAllIdle Ping"),
	"database/sql.DB":            set("Exec ExecContext Query QueryContext QueryRow QueryRowContext Prepare PrepareContext Begin BeginTx Conn Ping PingContext"),
	"github.com/jmoiron/sqlx.DB": set("Beginx BeginTxx MustBegin MustBeginTx Get GetContext Select SelectContext Queryx QueryxContext QueryRowx QueryRowxContext MustExec MustExecContext NamedExec NamedExecContext NamedQuery NamedQueryContext Preparex PreparexContext"),
}

// statements are methods of a user's own interface that run a statement.
var statements = set("Exec Query QueryRow SendBatch CopyFrom Begin BeginTx ExecContext QueryContext QueryRowContext")

// inTransaction are types that hold a connection already.
var inTransaction = set(pgxPath + ".Tx " + pgxPath + ".Conn " + pgxPath + "/pgxpool.Conn " + pgxPath + "/pgxpool.Tx " +
	pgxPath + ".dbTx database/sql.Tx database/sql.Conn github.com/jmoiron/sqlx.Tx")

// starters are names of methods that run a function in a transaction.
var starters = set("InTx InTransaction WithTx WithTransaction RunInTx RunInTransaction ExecTx ExecInTx Transaction Transact BeginFunc BeginTxFunc")

// takesConnection reports whether a call is a statement of a pool, or of a possible pool: an
// interface, or a type that hands itself to a transaction's function.
func (f *functions) takesConnection(call *ast.CallExpr) bool {
	info := f.pass.TypesInfo
	fn := callee(info, call)
	if fn == nil {
		return false
	}
	recv := signature(fn).Recv()
	if recv == nil {
		return false
	}
	name := typeName(recv.Type())
	if methods, ok := takers[name]; ok {
		return methods[fn.Name()]
	}
	sel, ok := receiver(info, call)
	if !ok {
		return false
	}
	held := info.TypeOf(sel.X)
	if inTransaction[name] || inTransaction[typeName(held)] {
		return false
	}
	if types.IsInterface(recv.Type()) && statements[fn.Name()] && firstIsContext(fn) {
		return returnsDatabase(fn)
	}
	return (firstIsContext(fn) || starters[fn.Name()]) && f.isTransactor(held)
}

// returnsDatabase reports whether the first result is of pgx or of database/sql.
func returnsDatabase(fn *types.Func) bool {
	results := signature(fn).Results()
	if results.Len() == 0 {
		return false
	}
	name := typeName(results.At(0).Type())
	return strings.HasPrefix(name, pgxPath) || strings.HasPrefix(name, "database/sql.") || fn.Name() == "CopyFrom"
}

// isTransactor reports whether the type has a method like InTx(func(T) error). The type is a
// pool outside of the function, and a transaction inside.
func (f *functions) isTransactor(t types.Type) bool {
	known, ok := f.transactors[t]
	if !ok {
		known = runsItselfInTx(t)
		f.transactors[t] = known
	}
	return known
}

func runsItselfInTx(t types.Type) bool {
	if typeName(t) == "" {
		return false
	}
	methods := types.NewMethodSet(t)
	for i := range methods.Len() {
		fn, ok := methods.At(i).Obj().(*types.Func)
		if !ok || !starters[fn.Name()] {
			continue
		}
		params := signature(fn).Params()
		for j := range params.Len() {
			if work, ok := params.At(j).Type().Underlying().(*types.Signature); ok && takes(work, t) {
				return true
			}
		}
	}
	return false
}

func takes(fn *types.Signature, t types.Type) bool {
	for i := range fn.Params().Len() {
		if types.Identical(fn.Params().At(i).Type(), t) {
			return true
		}
	}
	return false
}
