package testkit_test

import (
	"fmt"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
	"github.com/agentagency/onepool/tenant/rls"
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

// openTable has no policy, so what RequireTenant promises does not hold.
var openTable = fstest.MapFS{"00001_open.sql": {Data: []byte("-- +goose Up\ncreate table forgotten (tenant_id text primary key);\n")}}

// logLines takes what a test logs.
type logLines struct {
	testing.TB
	lines []string
}

func (l *logLines) Logf(format string, args ...any) {
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}
func (l *logLines) Log(args ...any) { l.lines = append(l.lines, fmt.Sprint(args...)) }

func TestSwapReportsATableWithoutAPolicyOnce(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	swapped := func(opts ...fx.Option) logLines {
		to := logLines{TB: t}
		app := fx.New(fx.NopLogger, fxdb.Module, testkit.Swap(&to), fx.Options(opts...),
			fxdb.Client("notes", func(db *fxdb.DB) *noter { return &noter{db} }, fxdb.RequireTenant()))
		require.NoError(t, app.Err())
		return to
	}
	first := swapped(fxdb.Migrations("swap_a", openTable))
	require.Len(t, first.lines, 1)
	require.Contains(t, first.lines[0], "table-rls-off")
	require.Contains(t, first.lines[0], "public.forgotten")
	again := swapped(fxdb.Migrations("swap_a", openTable))
	require.Empty(t, again.lines, "the same migrations")

	core, logs := observer.New(zap.WarnLevel)
	other := swapped(fxdb.Migrations("swap_b", openTable), fx.Supply(zap.New(core)))
	require.Empty(t, other.lines, "the graph has a logger")
	require.Equal(t, 1, logs.FilterMessage("tenant isolation").Len())

	for source, opt := range map[string]fx.Option{
		"swap_c": testkit.Swap(t, testkit.Config(func(c *fxdb.Config) { c.VerifyTenancy = "off" })),
		"swap_d": fx.Options(testkit.Swap(t), fxdb.VerifyOptions(rls.Allow("table-rls-off", "public.forgotten", "for all"))),
	} {
		core, logs := observer.New(zap.WarnLevel)
		app := fx.New(fx.NopLogger, fxdb.Module, opt, fx.Supply(zap.New(core)), fxdb.Migrations(source, openTable))
		require.NoError(t, app.Err())
		require.Zero(t, logs.FilterMessage("tenant isolation").Len())
	}
	none := swapped(fxdb.Migrations("swap_e", fstest.MapFS{"00001_a.sql": {Data: []byte("-- +goose Up\ncreate table plain (id int);\n")}}))
	require.Empty(t, none.lines, "an application without tenants")
}

// An application that uses its pool after its stop fails in production too.
func TestTheStopOfTheApplicationDrainsTheSwappedPool(t *testing.T) {
	t.Parallel()
	var db *fxdb.DB
	app := fxtest.New(t, fxdb.Module, testkit.Swap(t, testkit.Config(func(c *fxdb.Config) { c.DrainTimeout = 50 * time.Millisecond })), fx.Populate(&db))
	app.RequireStart()
	tx, err := db.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "select 1")
	require.NoError(t, err)

	var cut *lifecycle.DrainError
	require.ErrorAs(t, app.Stop(t.Context()), &cut)
	require.Len(t, cut.Report.Cut, 1)
	require.Error(t, tx.Commit(t.Context()))
	_, err = db.Exec(t.Context(), "select 1")
	require.ErrorIs(t, err, fxdb.ErrDraining)
	var n int
	require.NoError(t, testkit.OwnerPool(t, db).QueryRow(t.Context(), "select 1").Scan(&n), "the database lives until the test ends")
}

func TestWarningsOfAPoolAreLinesOfItsTest(t *testing.T) {
	t.Parallel()
	nested := func(db *fxdb.DB) {
		for range 64 { // the pool looks at a sample
			tx, err := db.Begin(t.Context())
			require.NoError(t, err)
			_, err = tx.Exec(t.Context(), "select 1")
			require.NoError(t, err)
			require.NoError(t, db.Ping(t.Context()))
			require.NoError(t, tx.Rollback(t.Context()))
		}
	}
	for name, open := range map[string]func(to testing.TB) (db *fxdb.DB){
		"DB": func(to testing.TB) *fxdb.DB { return testkit.DB(to) },
		"Swap": func(to testing.TB) (db *fxdb.DB) {
			require.NoError(t, fx.New(fx.NopLogger, fxdb.Module, testkit.Swap(to), fx.Populate(&db)).Err())
			return db
		},
	} {
		to := logLines{TB: t}
		nested(open(&to))
		require.Len(t, to.lines, 1, name)
		require.Contains(t, to.lines[0], "nested acquire", name)
	}
}
