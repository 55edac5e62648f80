package fxdb

import "testing"

// FuzzJudge looks for texts that it does not come to an end of, and for a judgement
// that a statement of no meaning behind changes.
func FuzzJudge(f *testing.F) {
	for _, sql := range []string{
		"", "'", `"`, "$", "$$", "$a$ $a", "/*", "/* /* */", "--", "e'\\", `e'\'`, "do $$ do $x$ set role a $x$ $$", "set", "set session", "create temp", "explain", "é$é$", "select $1;",
	} {
		f.Add(sql)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		if left := judge(sql); left&leftToNext != 0 && left&ofOneSession == 0 {
			t.Errorf("%q leaves something to the next, but needs no session", sql)
		}
		if judge("listen a; "+sql)&leftToNext == 0 || judge("select 1; listen a -- "+sql)&leftToNext == 0 {
			t.Errorf("%q hides what stands before it", sql)
		}
	})
}

func BenchmarkLeftover(b *testing.B) {
	const sql = "select tenant_id, body, created_at from notes.notes where id = $1 and body like $2 order by created_at desc limit 10"
	b.Run("known", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			spoils(sql)
		}
	})
	b.Run("new", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			judge(sql)
		}
	})
}
