package poolintx

import (
	"context"
	"database/sql"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentagency/onepool/fxdb"

	"poolintx/store"
)

type service struct {
	db    *fxdb.DB
	other *fxdb.DB
	deep  struct{ pool *pgxpool.Pool }
	store *store.Store
}

func direct(ctx context.Context, db *fxdb.DB) error {
	return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		_, err := db.Exec(ctx, "") // want `fxdb.DB.Exec takes a second connection of db`
		return err
	})
}

func sound(ctx context.Context, db *fxdb.DB) error {
	return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "")
		return err
	})
}

func (s *service) field(ctx context.Context) error {
	return s.db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		return s.db.QueryRow(ctx, "").Scan() // want `fxdb.DB.QueryRow takes a second connection of s.db`
	})
}

func (s *service) anotherPool(ctx context.Context) error {
	return s.db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		return s.other.QueryRow(ctx, "").Scan()
	})
}

func (s *service) load(ctx context.Context) error { return s.db.QueryRow(ctx, "").Scan() }

func (s *service) indirect(ctx context.Context) error { return s.load(ctx) }

func (s *service) method(ctx context.Context) error {
	return s.db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		return s.indirect(ctx) // want `poolintx.service.indirect takes a second connection of s.db`
	})
}

func (s *service) methodValue(ctx context.Context) error {
	return s.db.InTx(ctx, pgx.TxOptions{}, s.apply) // want `the transaction's function takes a second connection of s.db`
}

func (s *service) apply(tx pgx.Tx) error { return s.load(context.Background()) }

func (s *service) alias(ctx context.Context) error {
	db := s.db
	return s.db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		return db.Ping(ctx) // want `fxdb.DB.Ping takes a second connection of s.db`
	})
}

func (s *service) anotherFace(ctx context.Context) error {
	return s.db.Named("reports").InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		return s.db.Pool().Ping(ctx) // want `pgxpool.Pool.Ping takes a second connection of s.db`
	})
}

func (s *service) closure(ctx context.Context) error {
	load := func() error { return s.db.Ping(ctx) } // want `fxdb.DB.Ping takes a second connection`
	return s.db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error { return load() })
}

func (s *service) namedClosure(ctx context.Context) error {
	work := func(tx pgx.Tx) error {
		return s.db.Ping(ctx) // want `fxdb.DB.Ping takes a second connection`
	}
	return s.db.InTx(ctx, pgx.TxOptions{}, work)
}

func (s *service) deferred(ctx context.Context) error {
	return s.db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		defer s.db.Ping(ctx) // want `fxdb.DB.Ping takes a second connection`
		return nil
	})
}

func (s *service) withTx(ctx context.Context, fn func(tx pgx.Tx) error) error {
	return s.db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error { return fn(tx) })
}

func (s *service) wrapper(ctx context.Context) error {
	return s.withTx(ctx, func(tx pgx.Tx) error {
		return s.db.Ping(ctx) // want `fxdb.DB.Ping takes a second connection of s.db`
	})
}

func (s *service) ownBegin(ctx context.Context, fn func(tx pgx.Tx) error) error {
	tx, err := s.db.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(ctx)
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

func (s *service) wrapperOfBegin(ctx context.Context) error {
	return s.ownBegin(ctx, func(tx pgx.Tx) error {
		return s.db.Ping(ctx) // want `fxdb.DB.Ping takes a second connection of s.db`
	})
}

func (s *service) nested(ctx context.Context) error {
	return s.withTx(ctx, func(tx pgx.Tx) error {
		return s.withTx(ctx, func(tx pgx.Tx) error { return nil }) // want `poolintx.service.withTx takes a second connection`
	})
}

func (s *service) foreignMethod(ctx context.Context) error {
	return s.store.WithTx(ctx, func(tx pgx.Tx) error {
		if err := s.store.LoadIn(ctx, tx); err != nil {
			return err
		}
		return s.store.Load(ctx) // want `store.Store.Load takes a second connection of s.store.DB`
	})
}

func foreignFunction(ctx context.Context, db *fxdb.DB) error {
	return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		return store.Count(ctx, db) // want `store.Count takes a second connection of db`
	})
}

func (s *service) beginToCommit(ctx context.Context) error {
	tx, err := s.deep.pool.Begin(ctx)
	if err != nil {
		_ = s.deep.pool.Ping(ctx) // no transaction is open
		return err
	}
	defer tx.Rollback(ctx)
	if err := s.deep.pool.Ping(ctx); err != nil { // want `pgxpool.Pool.Ping takes a second connection of s.deep.pool`
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return s.deep.pool.Ping(ctx) // the transaction is over
	}
	return s.deep.pool.Ping(ctx) // after the commit
}

func loop(ctx context.Context, pool *pgxpool.Pool) error {
	for range 3 {
		if err := pool.Ping(ctx); err != nil { // before Begin in each round
			return err
		}
		tx, err := pool.Begin(ctx)
		if err != nil {
			return err
		}
		if err := tx.Commit(ctx); err != nil {
			return err
		}
	}
	return nil
}

func branch(ctx context.Context, pool *pgxpool.Pool, stop bool) error {
	tx, err := pool.Begin(ctx)
	if err != nil {
		return err
	}
	if stop {
		_ = tx.Rollback(ctx)
		return pool.Ping(ctx) // after the rollback
	}
	_ = pool.Ping(ctx) // want `pgxpool.Pool.Ping takes a second connection`
	return tx.Commit(ctx)
}

func finish(ctx context.Context, tx pgx.Tx) {}

func finishedByAnother(ctx context.Context, pool *pgxpool.Pool) error {
	tx, err := pool.Begin(ctx)
	if err != nil {
		return err
	}
	finish(ctx, tx)
	return pool.Ping(ctx)
}

func databaseSQL(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	row := db.QueryRowContext(ctx, "") // want `sql.DB.QueryRowContext takes a second connection of db`
	_ = row
	return tx.Commit()
}

func beginFunc(ctx context.Context, pool *pgxpool.Pool) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		return pool.Ping(ctx) // want `pgxpool.Pool.Ping takes a second connection of pool`
	})
}

func savepoint(ctx context.Context, pool *pgxpool.Pool, tx pgx.Tx) error {
	return pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error { return pool.Ping(ctx) }) // the pool of tx is unknown
}

func keptForLater(ctx context.Context, db *fxdb.DB) error {
	return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		time.AfterFunc(time.Second, func() { _ = db.Ping(ctx) })
		go func() { _ = db.Ping(ctx) }()
		return afterCommit(tx, func(ctx context.Context) { _ = db.Ping(ctx) })
	})
}

// either takes a connection only without a transaction.
func (s *service) either(ctx context.Context, tx pgx.Tx) error {
	if tx == nil {
		return s.db.Ping(ctx)
	}
	_, err := tx.Exec(ctx, "")
	return err
}

func (s *service) eitherInTx(ctx context.Context) error {
	return s.db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error { return s.either(ctx, tx) })
}

func (s *service) twoServices(ctx context.Context, other *service) error {
	return s.db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error { return other.load(ctx) })
}

// database is a store as of Coder: the same interface is the pool and the transaction.
type database interface {
	InTx(func(database) error) error
	User(ctx context.Context) (string, error)
	Name() string
}

type api struct{ database database }

func (a *api) users(ctx context.Context) error {
	return a.database.InTx(func(tx database) error {
		if _, err := tx.User(ctx); err != nil {
			return err
		}
		_ = a.database.Name()          // asks no server
		_, err := a.database.User(ctx) // want `poolintx.database.User takes a second connection of a.database`
		return err
	})
}

func nestedStore(ctx context.Context, store database) error {
	return store.InTx(func(tx database) error {
		return tx.InTx(func(inner database) error {
			_, err := tx.User(ctx) // tx has the connection already
			return err
		})
	})
}

type embedding struct{ *fxdb.DB }

func (e embedding) embedded(ctx context.Context) error {
	return e.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		return e.Ping(ctx) // want `fxdb.DB.Ping takes a second connection of e.DB`
	})
}

var global *fxdb.DB

func ofThePackage(ctx context.Context) error { return global.Ping(ctx) }

func packageVariable(ctx context.Context) error {
	return global.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		return ofThePackage(ctx) // want `poolintx.ofThePackage takes a second connection of global`
	})
}

func allowed(ctx context.Context, db *fxdb.DB) error {
	return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		//onepoolcheck:allow poolintx the audit row must survive a rollback
		_, err := db.Exec(ctx, "")
		return err
	})
}

var hooks []func(context.Context)

func afterCommit(tx pgx.Tx, fn func(context.Context)) error {
	hooks = append(hooks, fn)
	return nil
}
