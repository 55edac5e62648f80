package fxdbprom

import (
	"errors"
	"fmt"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/agentagency/onepool/fxdb"
)

// Register registers the pool's metrics with reg. The counts of acquires, waits, holds, connects
// and statements begin with the call of Register. All other metrics, for example the retries,
// include the time before. Register fails if reg already has a pool of the same name.
//
// [fxdb.DB.Close] unregisters the metrics at the end of the drain, and unregister at any time.
// Afterwards reg no longer keeps the pool alive. A second call of unregister is a no-op.
func Register(reg prometheus.Registerer, db *fxdb.DB) (unregister func(), err error) {
	c := newCollector(db)
	stop := c.observe()
	unregister, err = register(reg, c, db, stop)
	if err != nil {
		stop()
	}
	return unregister, err
}

// register registers c with reg until a call of unregister, or the end of db.Close. After the end
// of the registration, register calls then.
func register(reg prometheus.Registerer, c prometheus.Collector, db *fxdb.DB, then func()) (unregister func(), err error) {
	err = reg.Register(c)
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		return nil, fmt.Errorf("fxdbprom: pool %q is registered already: unregister the first pool, or label the two pools with prometheus.WrapRegistererWith: %w", poolName(db), err)
	}
	if err != nil {
		return nil, fmt.Errorf("fxdbprom: register pool %q: %w", poolName(db), err)
	}
	end := sync.OnceFunc(func() { // a second run would remove a successor of the same name
		reg.Unregister(c)
		then()
	})
	forget := db.AfterClose(end)
	return func() {
		end()
		forget()
	}, nil
}

// poolName returns the name of db's shared pool. The name holds no password and no user.
func poolName(db *fxdb.DB) string { return db.Monitors()[0].Name() }
