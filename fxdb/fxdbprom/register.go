package fxdbprom

import (
	"errors"
	"fmt"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/agentagency/onepool/fxdb"
)

// Register puts the pool's metrics into reg. They begin with this call: what the
// pool counted before shows in the gauges and in the opened and closed
// connections, but not by client. It fails when a pool of the same name is there
// already.
//
// db.Close takes the metrics out again when its drain has ended. unregister does the same at
// any time, and lets go of the pool; a second call is a no-op.
func Register(reg prometheus.Registerer, db *fxdb.DB) (unregister func(), err error) {
	c := newCollector(db)
	stop := c.observe()
	unregister, err = register(reg, c, db, stop)
	if err != nil {
		stop()
	}
	return unregister, err
}

// register puts c into reg until unregister is called, or db is closed. then runs after that.
func register(reg prometheus.Registerer, c prometheus.Collector, db *fxdb.DB, then func()) (unregister func(), err error) {
	err = reg.Register(c)
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		return nil, fmt.Errorf("fxdbprom: pool %q is registered already: unregister it first, or tell the two apart with prometheus.WrapRegistererWith: %w", poolName(db), err)
	}
	if err != nil {
		return nil, fmt.Errorf("fxdbprom: register pool %q: %w", poolName(db), err)
	}
	end := sync.OnceFunc(func() { // a second time it would take out a successor of the same name
		reg.Unregister(c)
		then()
	})
	forget := db.AfterClose(end)
	return func() {
		end()
		forget()
	}, nil
}

// poolName tells pools apart. It holds no password and no user.
func poolName(db *fxdb.DB) string { return db.Monitors()[0].Name() }
