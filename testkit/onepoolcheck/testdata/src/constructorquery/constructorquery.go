package constructorquery

import (
	"context"
	"net/http"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"

	"constructorquery/store"
)

type things struct{ db *fxdb.DB }

func (s *things) check() error { return s.db.Ping(context.Background()) }

func newSound(db *fxdb.DB) *things { return &things{db: db} }

func newQuerying(db *fxdb.DB) (*things, error) {
	_, err := db.Exec(context.Background(), "") // want `fxdb.DB.Exec runs in a constructor`
	return &things{db}, err
}

func newThroughAMethod(db *fxdb.DB) (*things, error) {
	t := &things{db: db}
	return t, t.check() // want `constructorquery.things.check runs in a constructor`
}

func newWithHook(lc fx.Lifecycle, db *fxdb.DB) *things {
	t := &things{db: db}
	lc.Append(fx.Hook{OnStart: func(ctx context.Context) error { return db.Ping(ctx) }})
	lc.Append(fx.Hook{OnStart: func(context.Context) error { return t.check() }})
	lc.Append(fx.StartHook(func() error { return t.check() }))
	lc.Append(fx.StartHook(t.check))
	return t
}

func newWithClosure(db *fxdb.DB) func(context.Context) error {
	return func(ctx context.Context) error { return db.Ping(ctx) }
}

func newWithGoroutine(db *fxdb.DB) *things {
	go func() { _ = db.Ping(context.Background()) }() // may wait for the start
	return &things{db}
}

func newWithHandler(db *fxdb.DB, mux *http.ServeMux) *things {
	mux.HandleFunc("/", func(http.ResponseWriter, *http.Request) { _ = db.Ping(context.Background()) })
	register(func() { _ = db.Ping(context.Background()) })
	return &things{db}
}

var handlers []func()

func register(fn func()) { handlers = append(handlers, fn) }

func now(fn func()) { fn() }

func newThroughACaller(db *fxdb.DB) *things {
	now(func() { _ = db.Ping(context.Background()) }) // want `fxdb.DB.Ping runs in a constructor`
	return &things{db}
}

type params struct {
	DB *fxdb.DB
}

func newFromStruct(p params) error {
	return p.DB.QueryRow(context.Background(), "").Scan() // want `fxdb.DB.QueryRow runs in a constructor`
}

func newOwnPool(ctx context.Context) (*pgxpool.Pool, error) {
	pool, err := pgxpool.New(ctx, "")
	if err != nil {
		return nil, err
	}
	return pool, pool.Ping(ctx) // the constructor opened the pool
}

func newOnGivenPool(pool *pgxpool.Pool) error {
	return pool.Ping(context.Background()) // want `pgxpool.Pool.Ping runs in a constructor`
}

type querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

func newOnInterface(q querier) error {
	_, err := q.Exec(context.Background(), "") // want `constructorquery.querier.Exec runs in a constructor`
	return err
}

func newInTx(db *fxdb.DB) error {
	return db.InTx(context.Background(), pgx.TxOptions{}, func(tx pgx.Tx) error { return nil }) // want `fxdb.DB.InTx runs in a constructor`
}

func newNamed(db *fxdb.DB) *things { return &things{db: db.Named("things")} }

var global *fxdb.DB

func newFromGlobal() error {
	return global.Ping(context.Background()) // want `fxdb.DB.Ping runs in a constructor`
}

func notAConstructor(db *fxdb.DB) error { return db.Ping(context.Background()) }

func decorated(db *fxdb.DB) (*fxdb.DB, error) {
	return db, db.Ping(context.Background()) // want `fxdb.DB.Ping runs in a constructor`
}

func allowed(db *fxdb.DB) error {
	//onepoolcheck:allow constructorquery a fake that needs no start
	return db.Ping(context.Background())
}

func main() {
	opened, _ := fxdb.Open(context.Background(), fxdb.Config{})
	_ = opened.Ping(context.Background())
	_ = []fx.Option{
		fx.Provide(newSound, newQuerying, newThroughAMethod),
		fx.Provide(newWithHook, newWithClosure, newWithGoroutine, newWithHandler, newThroughACaller),
		fx.Provide(newFromStruct, newOwnPool, newOnGivenPool, newOnInterface, newInTx, newNamed, newFromGlobal, allowed),
		fx.Provide(fx.Annotate(func(db *fxdb.DB) error {
			return db.Ping(context.Background()) // want `fxdb.DB.Ping runs in a constructor`
		}, fx.ResultTags(`name:"x"`))),
		fx.Provide(fx.Annotated{Name: "y", Target: func(db *fxdb.DB) error {
			return db.Ping(context.Background()) // want `fxdb.DB.Ping runs in a constructor`
		}}),
		fx.Provide(func() error { return opened.Ping(context.Background()) }), // open already
		fx.Decorate(decorated),
		fx.Invoke(func(db *fxdb.DB) error {
			return db.Ping(context.Background()) // want `fxdb.DB.Ping runs in a constructor`
		}),
		fx.Supply(notAConstructor),
		fx.Provide(store.New),
		fx.Provide(store.NewAndCheck), // want `the constructor store.NewAndCheck runs a statement before the pool starts`
		fxdb.Client("a", store.New),
		fxdb.Client("b", func(db *fxdb.DB) (*things, error) {
			t := &things{db}
			return t, t.check() // want `constructorquery.things.check runs in a constructor`
		}),
	}
}
