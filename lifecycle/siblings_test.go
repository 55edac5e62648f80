package lifecycle_test

import (
	"context"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentagency/onepool/lifecycle"
)

func TestPoolsThatShareASiblingMayBeBuiltAtTheSameTime(t *testing.T) {
	t.Parallel()
	sibling := newMonitor(t, nowhere, nil)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			pc, err := pgxpool.ParseConfig(nowhere)
			if err != nil {
				t.Error(err)
				return
			}
			m, err := lifecycle.New(lifecycle.Config{Pool: pc, SiblingPools: []*lifecycle.Monitor{sibling}})
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = lifecycle.Drain(context.Background(), m, 0)
		})
	}
	all.Wait()
}
