package testkit_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

// A decorator reaches its own fx.Module only, so a Swap of decorators was without effect
// there, and the test wrote to the database that DATABASE_URL names.
func TestSwapWorksWhereverItStands(t *testing.T) {
	size.SkipShort(t)
	client := func(name string) fx.Option {
		return fxdb.Client(name, fx.Annotate(func(db *fxdb.DB) *noter { return &noter{db} }, fx.ResultTags(`name:"`+name+`"`)))
	}
	for name, place := range map[string]func(swap fx.Option) fx.Option{
		"at the root": func(swap fx.Option) fx.Option {
			return fx.Options(fxdb.Module, client("a"), client("b"), swap)
		},
		"in a module beside the pool's": func(swap fx.Option) fx.Option {
			return fx.Options(fxdb.Module, client("a"), client("b"), fx.Module("test", swap))
		},
		"in the module of one client": func(swap fx.Option) fx.Option {
			return fx.Options(fxdb.Module, fx.Module("outer", client("a"), swap), client("b"))
		},
		"in a module with the pool's, a client outside": func(swap fx.Option) fx.Option {
			return fx.Options(fx.Module("inner", fxdb.Module, swap, client("a")), client("b"))
		},
		"two modules down": func(swap fx.Option) fx.Option {
			return fx.Options(fx.Module("outer", fx.Module("inner", swap)), client("a"), fxdb.Module, client("b"))
		},
		"before the pool's": func(swap fx.Option) fx.Option {
			return fx.Options(swap, client("a"), client("b"), fxdb.Module)
		},
	} {
		t.Run(name, func(t *testing.T) {
			production := testkit.DB(t, testkit.Migrations("notes", notes))
			t.Setenv("DATABASE_URL", production.Pool().Config().ConnString())
			var root *fxdb.DB
			var clients struct {
				fx.In
				A *noter `name:"a"`
				B *noter `name:"b"`
			}
			app := fxtest.New(t, place(testkit.Swap(t)), fxdb.Migrations("notes", notes),
				fx.Populate(&root, &clients))
			app.RequireStart()
			defer app.RequireStop()
			for _, db := range []*fxdb.DB{root, clients.A.db, clients.B.db} {
				_, err := db.Exec(asTenant(t, "acme"), "insert into notes.notes (body) values ('x')")
				require.NoError(t, err)
			}
			var n int
			require.NoError(t, production.QueryRow(asTenant(t, "acme"), "select count(*) from notes.notes").Scan(&n))
			require.Zero(t, n, "the test wrote to the database of DATABASE_URL")
			require.NoError(t, root.QueryRow(asTenant(t, "acme"), "select count(*) from notes.notes").Scan(&n))
			require.Equal(t, 3, n, "one database for all")
		})
	}
}

func TestSwapFailsIfThePoolIsNotTheModules(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	own := testkit.DB(t)
	foreign, err := fxdb.Open(t.Context(), fxdb.Config{URL: own.Pool().Config().ConnString(), PoolMin: 1})
	require.NoError(t, err)
	defer func() { require.NoError(t, foreign.Close(t.Context())) }()
	app := fx.New(fx.NopLogger, fx.Supply(foreign), testkit.Swap(t))
	require.ErrorIs(t, app.Err(), testkit.ErrNotSwapped)
}
