package admission_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/admission"
	"github.com/agentagency/onepool/internal/testing/size"
)

// neighbourhood is a flooder of 200 callers that hold a permit for about long each,
// and four clients that ask every 10 ms or so, whether served or not, and hold it for
// 1 ms. They share 20 permits.
type neighbourhood struct {
	cfg     admission.Config
	long    time.Duration // about how long the flooder holds one
	oneName bool          // all are one client
	tenants bool          // of which each is a tenant
	alone   bool          // the four ask for one second before the time that is measured
}

// run lets them run for 80 of the flooder's statements in a row, in virtual time, and returns how many permits the
// flooder had, and the waits of the four in order.
func (n neighbourhood) run(t *testing.T) (flooder int, waits []time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		n.cfg.Capacity = 20
		ctl, err := admission.New(n.cfg)
		require.NoError(t, err)
		defer ctl.Close()
		begin := time.Now()
		measured, end := begin.Add(40*n.long), begin.Add(120*n.long)

		var wg sync.WaitGroup
		var mu sync.Mutex
		use := func(c *admission.Client, tenant string, hold time.Duration) time.Duration {
			if !n.tenants {
				tenant = ""
			}
			began := time.Now()
			if err := c.Acquire(context.Background(), tenant); err != nil {
				t.Error(err)
				return 0
			}
			waited := time.Since(began)
			<-time.After(hold)
			c.Release(tenant, 0)
			return waited
		}
		for i := range 200 {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(1, uint64(i)))
				c := ctl.Client("flooder")
				for time.Now().Before(end) {
					use(c, "flooder", n.long*9/10+time.Duration(r.Int64N(int64(n.long/5))))
					if now := time.Now(); now.After(measured) && !now.After(end) {
						mu.Lock()
						flooder++
						mu.Unlock()
					}
				}
			})
		}
		for i := range 4 {
			tenant := fmt.Sprint("client", i)
			name := tenant
			if n.oneName {
				name = "flooder"
			}
			c := ctl.Client(name)
			wg.Go(func() {
				r := rand.New(rand.NewPCG(2, uint64(i)))
				until := end
				if n.alone {
					until = begin.Add(time.Second)
				}
				for time.Now().Before(until) {
					<-time.After(time.Duration(r.Int64N(int64(20 * time.Millisecond))))
					wg.Go(func() {
						waited := use(c, tenant, time.Millisecond)
						if time.Now().After(measured) {
							mu.Lock()
							waits = append(waits, waited)
							mu.Unlock()
						}
					})
				}
			})
		}
		wg.Wait()
	})
	slices.Sort(waits)
	return flooder, waits
}

func TestNoisyNeighbour(t *testing.T) {
	t.Parallel()
	short := []time.Duration{50 * time.Millisecond}
	both := slices.Concat(short, []time.Duration{500 * time.Millisecond})
	for _, long := range size.Of(short, both, both) {
		t.Run(long.String(), func(t *testing.T) {
			t.Parallel()
			fifo, fifoWaits := neighbourhood{long: long, oneName: true}.run(t)
			onlyQueue, onlyQueueWaits := neighbourhood{long: long, cfg: admission.Config{Headroom: -1}}.run(t)
			shared, sharedWaits := neighbourhood{long: long}.run(t)
			tenants, tenantWaits := neighbourhood{long: long, oneName: true, tenants: true}.run(t)
			alone, _ := neighbourhood{long: long, alone: true}.run(t)

			p := func(waits []time.Duration, hundredths int) time.Duration { return waits[len(waits)*hundredths/100] }
			ratio := func(n int) float64 { return float64(n) / float64(fifo) }
			for _, r := range []struct {
				name  string
				n     int
				waits []time.Duration
			}{{"one queue", fifo, fifoWaits}, {"no headroom", onlyQueue, onlyQueueWaits}, {"default", shared, sharedWaits}, {"tenants", tenants, tenantWaits}} {
				t.Logf("%-11s: flooder %.3f, waits of the four p50 %v p99 %v max %v", r.name, ratio(r.n), p(r.waits, 50), p(r.waits, 99), r.waits[len(r.waits)-1])
			}
			full := 20 * 80
			t.Logf("alone      : flooder %.3f of what 20 permits can give", float64(alone)/float64(full))

			assert.Greater(t, p(fifoWaits, 50), 6*long, "the flood must be one")
			assert.GreaterOrEqual(t, ratio(shared), 0.95)
			assert.Zero(t, p(sharedWaits, 50))
			assert.LessOrEqual(t, p(sharedWaits, 99), 5*time.Millisecond)
			assert.GreaterOrEqual(t, ratio(tenants), 0.95, "tenants of one client have a headroom too")
			assert.Zero(t, p(tenantWaits, 50))
			assert.LessOrEqual(t, p(tenantWaits, 99), 5*time.Millisecond)
			assert.GreaterOrEqual(t, float64(alone), 0.99*float64(full), "a client alone has every permit")
		})
	}
}
