package fxdbprom_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/agentagency/onepool/testkit"
)

// BenchmarkAcquire shows the cost of the metrics for an acquire and the release.
func BenchmarkAcquire(b *testing.B) {
	db := testkit.DB(b)
	use := func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			acquire(b, db).Release()
		}
	}
	b.Run("without", use)
	b.Run("with", func(b *testing.B) {
		defer register(b, prometheus.NewRegistry(), db)()
		use(b)
	})
}
