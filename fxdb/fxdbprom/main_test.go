package fxdbprom_test

import (
	"context"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/agentagency/onepool/fxdb"
)

// The test kit's server connection lives as long as the process.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/agentagency/onepool/testkit.init.OnceValues[...].func1"),
		goleak.IgnoreTopFunction("github.com/jackc/pgx/v5/pgxpool.(*Pool).backgroundHealthCheck"),
		goleak.IgnoreAnyFunction("github.com/agentagency/onepool/fxdb/devdb.(*supervisor).watch"))
}

// patience bounds every wait of a test. Only a hang lasts as long.
const patience = time.Minute

// giveUp waits in vain: giveUp ends the wait as soon as the pool shows the waiter.
func giveUp(t testing.TB, db *fxdb.DB, wait func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- wait(ctx) }()
	require.Eventually(t, func() bool { return db.Stats().Waiting == 1 }, patience, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
}

// figures are onepool's series of a pool, by name{labels} without the label pool. A histogram is
// _count, and _sum in nanoseconds. A counter of seconds is in nanoseconds too.
type figures map[string]int

// gather returns the figures of each pool, by the pool's name.
func gather(t testing.TB, from prometheus.Gatherer) map[string]figures {
	t.Helper()
	families, err := from.Gather()
	require.NoError(t, err)
	pools := make(map[string]figures)
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "onepool_") {
			continue
		}
		for _, m := range f.GetMetric() {
			var pool string
			var labels []string
			for _, l := range m.GetLabel() {
				if l.GetName() == "pool" {
					pool = l.GetValue()
					continue
				}
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			sort.Strings(labels)
			key := func(suffix string) string {
				if len(labels) == 0 {
					return f.GetName() + suffix
				}
				return f.GetName() + suffix + "{" + strings.Join(labels, ",") + "}"
			}
			if pools[pool] == nil {
				pools[pool] = figures{}
			}
			unit := 1.0
			if strings.HasSuffix(f.GetName(), "_seconds_total") || strings.HasSuffix(f.GetName(), "_seconds") {
				unit = float64(time.Second)
			}
			switch f.GetType() {
			case dto.MetricType_GAUGE:
				pools[pool][key("")] = int(m.GetGauge().GetValue() * unit)
			case dto.MetricType_COUNTER:
				pools[pool][key("")] = int(m.GetCounter().GetValue() * unit)
			case dto.MetricType_HISTOGRAM:
				pools[pool][key("_count")] = int(m.GetHistogram().GetSampleCount())
				pools[pool][key("_sum")] = int(m.GetHistogram().GetSampleSum() * float64(time.Second))
			default:
				t.Fatalf("%s has the type %s", f.GetName(), f.GetType())
			}
		}
	}
	return pools
}

// gatherOne returns the figures of a registry with a single pool.
func gatherOne(t testing.TB, from prometheus.Gatherer) figures {
	t.Helper()
	pools := gather(t, from)
	require.Len(t, pools, 1)
	for _, f := range pools {
		return f
	}
	return nil
}
