package scoped_test

import (
	"testing"

	"github.com/agentagency/onepool/internal/scoped"
)

func BenchmarkEffects(b *testing.B) {
	const sql = "select tenant_id, body, created_at from notes.notes where id = $1 and body like $2 order by created_at desc limit 10"
	b.Run("known", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			scoped.EffectsOf(sql, false)
		}
	})
	b.Run("new", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			scoped.Effects(sql)
		}
	})
}
