package admission_test

import (
	"context"
	"fmt"
	"testing"

	"golang.org/x/sync/semaphore"

	"github.com/agentagency/onepool/internal/admission"
)

func BenchmarkAdmissionUncontended(b *testing.B) {
	c := benchClient(b, admission.Config{Capacity: 20, TenantMaxFraction: 0.5})
	b.ReportAllocs()
	for b.Loop() {
		if !c.TryAcquire("acme") {
			b.Fatal("refused")
		}
		c.Release("acme", 0)
	}
}

func BenchmarkAdmissionUncontendedNoTenant(b *testing.B) {
	c := benchClient(b, admission.Config{Capacity: 20})
	b.ReportAllocs()
	for b.Loop() {
		if !c.TryAcquire("") {
			b.Fatal("refused")
		}
		c.Release("", 0)
	}
}

func BenchmarkAdmissionUncontendedManyTenants(b *testing.B) {
	c := benchClient(b, admission.Config{Capacity: 20, TenantMaxFraction: 0.5})
	var names [1 << 12]string // more than are remembered
	for i := range names {
		names[i] = fmt.Sprintf("tenant-%d", i)
	}
	for _, n := range []int{100, len(names)} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				name := names[i%n]
				i++
				if !c.TryAcquire(name) {
					b.Fatal("refused")
				}
				c.Release(name, 0)
			}
		})
	}
}

// The contended ones: 64 goroutines over 2 permits.
func BenchmarkAdmissionContended(b *testing.B) {
	c := benchClient(b, admission.Config{Capacity: 2})
	ctx := b.Context()
	b.ReportAllocs()
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := c.Acquire(ctx, "acme"); err != nil {
				b.Error(err)
				return
			}
			c.Release("acme", 0)
		}
	})
}

func BenchmarkSemaphoreContended(b *testing.B) {
	s := semaphore.NewWeighted(2)
	ctx := b.Context()
	b.ReportAllocs()
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := s.Acquire(ctx, 1); err != nil {
				b.Error(err)
				return
			}
			s.Release(1)
		}
	})
}

func BenchmarkSemaphoreUncontended(b *testing.B) {
	s := semaphore.NewWeighted(20)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Acquire(context.Background(), 1); err != nil {
			b.Fatal(err)
		}
		s.Release(1)
	}
}

func benchClient(b *testing.B, cfg admission.Config) *admission.Client {
	ctl, err := admission.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(ctl.Close)
	for i := range 15 { // the house has some
		ctl.Client(fmt.Sprint("other", i))
	}
	return ctl.Client("busy")
}
