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
// unregister takes them out again and lets go of the pool. Call it before
// db.Close; a second call is a no-op.
func Register(reg prometheus.Registerer, db *fxdb.DB) (unregister func(), err error) {
	c := newCollector(db)
	stop := c.observe()
	if err := register(reg, c, db); err != nil {
		stop()
		return nil, err
	}
	var once sync.Once
	return func() {
		once.Do(func() { // a second time it would take out a successor of the same name
			reg.Unregister(c)
			stop()
		})
	}, nil
}

func register(reg prometheus.Registerer, c prometheus.Collector, db *fxdb.DB) error {
	err := reg.Register(c)
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		return fmt.Errorf("fxdbprom: pool %q is registered already: unregister it first, or tell the two apart with prometheus.WrapRegistererWith: %w", poolName(db), err)
	}
	if err != nil {
		return fmt.Errorf("fxdbprom: register pool %q: %w", poolName(db), err)
	}
	return nil
}
