package onepoolcheck

import (
	"go/ast"
	"go/constant"
	"go/types"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/passes/inspect"
	"golang.org/x/tools/go/ast/inspector"
)

// NewPool reports code that opens a second pool, or a connection beside the pool.
var NewPool = &analysis.Analyzer{
	Name: "newpool",
	Doc: `report a second pool, or a connection beside the pool

A program has one pool. The analyzer reports pgxpool.New, pgx.Connect, sql.Open("pgx", …),
stdlib.OpenDB and the like, as a call and as a value. Files that may open connections stand
in .onepoolcheck.yml, each with a reason:

	newpool:
	  allow:
	    - path: internal/db/pool.go
	      reason: the pool itself

A folder's path ends with "/".`,
	URL:      docURL,
	Requires: []*analysis.Analyzer{inspect.Analyzer},
	Run:      runNewPool,
}

// opening maps a function to the thing that the function opens.
var opening = map[string]string{
	pgxPath + "/pgxpool.New":               "a pool",
	pgxPath + "/pgxpool.NewWithConfig":     "a pool",
	pgxPath + "/pgxpool.Connect":           "a pool",
	pgxPath + "/pgxpool.ConnectConfig":     "a pool",
	pgxPath + ".Connect":                   "a connection",
	pgxPath + ".ConnectConfig":             "a connection",
	pgxPath + ".ConnectWithOptions":        "a connection",
	pgxPath + "/pgconn.Connect":            "a connection",
	pgxPath + "/pgconn.ConnectConfig":      "a connection",
	pgxPath + "/pgconn.ConnectWithOptions": "a connection",
	pgxPath + "/stdlib.OpenDB":             "a pool",
	pgxPath + "/stdlib.OpenDBFromPool":     "a *sql.DB",
	pgxPath + "/stdlib.GetConnector":       "a pool",
	pgxPath + "/stdlib.GetPoolConnector":   "a *sql.DB",
}

// drivers are database/sql's names of PostgreSQL drivers.
var drivers = set("pgx pgx/v4 pgx/v5 postgres cloudsqlpostgres")

func runNewPool(pass *analysis.Pass) (any, error) {
	if strings.HasPrefix(packagePath(pass.Pkg), pgxPath) {
		return nil, nil
	}
	r, err := newReporter(pass)
	if err != nil {
		return nil, err
	}
	found := func(node ast.Node, message string) {
		if !r.config.allows(pass.Fset.Position(node.Pos()).Filename) {
			r.report(node, message+": take the program's pool, or allow the file in "+configFile)
		}
	}
	in := pass.ResultOf[inspect.Analyzer].(*inspector.Inspector)
	in.Preorder([]ast.Node{(*ast.Ident)(nil), (*ast.CallExpr)(nil)}, func(n ast.Node) {
		switch n := n.(type) {
		case *ast.Ident:
			fn, ok := pass.TypesInfo.Uses[n].(*types.Func)
			if !ok || signature(fn).Recv() != nil {
				return
			}
			if what, ok := opening[funcName(fn)]; ok {
				found(n, shortName(fn)+" opens "+what+" beside the program's pool")
			}
		case *ast.CallExpr:
			fn := callee(pass.TypesInfo, n)
			if fn == nil || !opensByName[funcName(fn)] || len(n.Args) == 0 {
				return
			}
			name := pass.TypesInfo.Types[n.Args[0]].Value
			if name != nil && name.Kind() == constant.String && drivers[constant.StringVal(name)] {
				found(n, shortName(fn)+"("+name.ExactString()+", …) opens a pool beside the program's pool")
			}
		}
	})
	return nil, nil
}

// opensByName are functions that take the name of a driver first.
var opensByName = set("database/sql.Open github.com/jmoiron/sqlx.Open github.com/jmoiron/sqlx.Connect")
