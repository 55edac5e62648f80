package txio

import (
	"context"
	"net"
	"net/http"
	"net/smtp"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"

	"github.com/agentagency/onepool/fxdb"

	"txio/mail"
)

func get(ctx context.Context, db *fxdb.DB) error {
	return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		_, err := http.Get("http://localhost") // want `http.Get waits for the network`
		return err
	})
}

func before(ctx context.Context, db *fxdb.DB) error {
	if _, err := http.Get("http://localhost"); err != nil {
		return err
	}
	return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error { return nil })
}

func client(ctx context.Context, db *fxdb.DB, c *http.Client, req *http.Request) error {
	return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		_, err := c.Do(req) // want `http.Client.Do waits for the network`
		return err
	})
}

func roundTripper(ctx context.Context, db *fxdb.DB, c http.RoundTripper, req *http.Request) error {
	return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		_, err := c.RoundTrip(req) // want `http.RoundTripper.RoundTrip waits for the network`
		return err
	})
}

func onlyMakes(ctx context.Context, db *fxdb.DB) error {
	return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		_, err := http.NewRequest("GET", "/", nil)
		return err
	})
}

func dial(ctx context.Context, db *fxdb.DB) error {
	return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		if _, err := net.Dial("tcp", ""); err != nil { // want `net.Dial waits for the network`
			return err
		}
		_, err := net.LookupHost("") // want `net.LookupHost waits for the network`
		return err
	})
}

func parsesAddress(ctx context.Context, db *fxdb.DB) error {
	return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		_, _, err := net.SplitHostPort("")
		return err
	})
}

func send() error { return smtp.SendMail("", nil, "", nil, nil) }

func helper(ctx context.Context, db *fxdb.DB) error {
	return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		return send() // want `txio.send \(which calls smtp.SendMail\) waits for the network`
	})
}

func reference(ctx context.Context, db *fxdb.DB) error {
	return db.InTx(ctx, pgx.TxOptions{}, sendInTx) // want `the transaction's function calls smtp.SendMail`
}

func sendInTx(pgx.Tx) error { return send() }

func foreign(ctx context.Context, db *fxdb.DB, s *mail.Sender) error {
	return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		return s.Send(ctx, s.Address("a")) // want `mail.Sender.Send \(which calls http.Client.Do\) waits for the network`
	})
}

type remote interface {
	Charge(ctx context.Context, in *int, opts ...grpc.CallOption) (*int, error)
}

func grpcCall(ctx context.Context, db *fxdb.DB, r remote) error {
	return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		_, err := r.Charge(ctx, nil) // want `txio.remote.Charge waits for the network`
		return err
	})
}

type state struct {
	mu sync.Mutex
	rw sync.RWMutex
	db *fxdb.DB
}

func (s *state) lock(ctx context.Context) error {
	return s.db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		s.mu.Lock() // want `sync.Mutex.Lock waits for a lock`
		defer s.mu.Unlock()
		s.rw.RLock() // want `sync.RWMutex.RLock waits for a lock`
		defer s.rw.RUnlock()
		if s.mu.TryLock() { // does not wait
			return nil
		}
		return nil
	})
}

func (s *state) lockBefore(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error { return nil })
}

func (s *state) afterwards(ctx context.Context) error {
	return s.db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		go func() { _ = send() }()
		return afterCommit(tx, func(context.Context) { _ = send() })
	})
}

func beginToCommit(ctx context.Context, pool *pgxpool.Pool) error {
	tx, err := pool.Begin(ctx)
	if err != nil {
		return send() // no transaction is open
	}
	defer tx.Rollback(ctx)
	if err := send(); err != nil { // want `txio.send \(which calls smtp.SendMail\) waits for the network`
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	return send()
}

func wrapper(ctx context.Context, pool *pgxpool.Pool, fn func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, pool, fn)
}

func inWrapper(ctx context.Context, pool *pgxpool.Pool) error {
	return wrapper(ctx, pool, func(tx pgx.Tx) error {
		return send() // want `txio.send \(which calls smtp.SendMail\) waits for the network`
	})
}

func noTransaction(ctx context.Context, db *fxdb.DB) error {
	if _, err := db.Exec(ctx, ""); err != nil {
		return err
	}
	return send()
}

func kept(ctx context.Context, db *fxdb.DB) (later func() error, err error) {
	err = db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		later = func() error { return send() }
		return nil
	})
	return later, err
}

func inLoop(ctx context.Context, db *fxdb.DB) error {
	return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		for range 3 {
			if err := send(); err != nil { // want `waits for the network`
				return err
			}
		}
		return nil
	})
}

func allowed(ctx context.Context, db *fxdb.DB) error {
	return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		return send() //onepoolcheck:allow txio the outbox row and the mail server are on this machine
	})
}

var hooks []func(context.Context)

func afterCommit(tx pgx.Tx, fn func(context.Context)) error {
	hooks = append(hooks, fn)
	return nil
}
