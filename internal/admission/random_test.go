package admission

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/agentagency/onepool/internal/testing/size"
)

// permit is one that is out, with a number that grows.
type permit struct{ c, t, id int }

// waited follows one waiter through its rounds.
type waited struct{ mark, rounds, most int }

// TestLongRandomRuns does the same as TestEveryReachableState where there are too
// many states to visit.
func TestLongRandomRuns(t *testing.T) {
	t.Parallel()
	runs, steps := size.Of(20, 300, 3000), 1000
	if raced {
		runs, steps = 20, 300
	}
	for i := range runs {
		seed := rand.Uint64()
		if i == 0 {
			seed = 2579419574954372169 // later callers of a lighter client had turns between
		}
		if err := randomRun(rand.New(rand.NewPCG(seed, 0)), steps); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

func randomRun(r *rand.Rand, steps int) error {
	u := randomSetup(r)
	changing := r.IntN(2) == 0
	ask := 1 + r.IntN(8)   // how much more is asked for than given back
	newest := r.IntN(4)    // how often the newest permit is the first to come back
	wait := 1 + r.IntN(30) // at most
	m := u.newModel()
	var out []permit
	waits := map[int]*waited{}
	next := 0
	for i := range steps {
		o, k := op{kind: opTick}, -1
		switch n := r.IntN(10 + ask); {
		case n < ask:
			o = op{kind: opAsk, c: r.IntN(len(u.limits)), t: r.IntN(u.tenants + 1)}
			if len(m.queue) >= wait || r.IntN(10) == 0 {
				o.kind = opTry
			}
		case n < ask+6 && len(out) > 0:
			if k = len(out) - 1; r.IntN(4) >= newest {
				k = r.IntN(len(out))
			}
			o = op{kind: opRelease, c: out[k].c, t: out[k].t, late: r.IntN(8) == 0}
		case n == ask+6 && len(m.queue) > 0:
			o = op{kind: opCancel, n: r.IntN(len(m.queue))}
		case n == ask+7 && changing && r.IntN(10) == 0:
			o = randomChange(r, m)
		case n == ask+8:
			o = op{kind: opObserve, flag: r.IntN(2) == 0}
		case !m.ctl.ticking:
			continue
		}
		before, held := slices.Clone(m.queue), cloneGrid(m.held)
		if err := m.do(u, o); err != nil {
			return fmt.Errorf("step %d, %v of %+v: %w", i, o, u, err)
		}
		if k >= 0 {
			out = slices.Delete(out, k, k+1)
			held[o.c][o.t]--
		}
		for c := range held {
			for t := range held[c] {
				for range m.held[c][t] - held[c][t] {
					next++
					out = append(out, permit{c, t, next})
				}
			}
		}
		if !changing {
			if err := follow(m, waits, before, out, next); err != nil {
				return fmt.Errorf("step %d of %+v: %w", i, u, err)
			}
		}
	}
	return m.drain(u, 0)
}

// turns is how many turns all clients have by their weights until c has had n turns.
func turns(m *model, c, n int) int {
	all, own := 0, max(1, m.limits[c].Weight)
	for _, l := range m.limits {
		all += max(1, l.Weight)
	}
	return (n*all + own - 1) / own
}

// follow counts the rounds of all waiters. The exhaustive search has the exact bounds
// of small worlds; this bound grows with the waiters who were there before, with the weights of
// the clients whose later callers may have turns between, and with the patience.
func follow(m *model, waits map[int]*waited, before []specWaiter, out []permit, newest int) error {
	oldest := newest + 1
	for _, p := range out {
		oldest = min(oldest, p.id)
	}
	for _, w := range before {
		if !slices.ContainsFunc(m.queue, func(v specWaiter) bool { return v.id == w.id }) {
			delete(waits, w.id)
		}
	}
	for i, w := range m.queue {
		f := waits[w.id]
		if f == nil {
			waits[w.id] = &waited{mark: newest, most: turns(m, w.c, i+1)*len(m.held[0]) + m.patience + len(m.clients)}
			continue
		}
		if oldest > f.mark {
			f.mark = newest
			f.rounds++
		}
		if f.rounds > f.most {
			return fmt.Errorf("waiter %d is there after %d rounds", i, f.rounds)
		}
	}
	return nil
}

func randomSetup(r *rand.Rand) setup {
	u := setup{capacity: 1 + r.IntN(12), tenants: r.IntN(4), tuning: tuning{patience, activeTicks, headroomPart, headStart, inTimeInRow, inTimeMost}}
	if r.IntN(2) == 0 {
		u.tuning = quick
		u.patience = 1 + r.IntN(3)
		u.inTimeInRow = 1 + r.IntN(3)
		u.inTimeMost = u.inTimeInRow * (1 + r.IntN(4))
	}
	u.headroom = headroom(r.IntN(4)-1, u.capacity, u.part)
	if u.tenants > 0 && r.IntN(4) > 0 {
		u.tenantMax = 1 + r.IntN(u.capacity)
	}
	left := u.capacity - 1
	for range 1 + r.IntN(5) {
		l := Limits{Weight: r.IntN(5)}
		if r.IntN(3) == 0 {
			l.Reserve = r.IntN(left + 1)
			left -= l.Reserve
		}
		if r.IntN(3) == 0 {
			l.Max = l.Reserve + 1 + r.IntN(4)
		}
		u.limits = append(u.limits, l)
	}
	return u
}

// randomChange is a change that is allowed: the refused ones have tests of their own.
func randomChange(r *rand.Rand, m *model) op {
	reserved := 0
	for _, l := range m.limits {
		reserved += l.Reserve
	}
	switch r.IntN(3) {
	case 0:
		if n := 1 + r.IntN(12); n > reserved {
			return op{kind: opCapacity, n: n}
		}
	case 1:
		return op{kind: opTenantMax, n: r.IntN(m.capacity + 1)}
	}
	c := r.IntN(len(m.limits))
	l := Limits{Weight: r.IntN(5), Reserve: r.IntN(max(1, m.capacity-reserved+m.limits[c].Reserve))}
	if r.IntN(2) == 0 {
		l.Max = l.Reserve + 1 + r.IntN(4)
	}
	return op{kind: opLimits, c: c, limits: l}
}
