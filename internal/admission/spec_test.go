package admission

import (
	"encoding/binary"
	"slices"
)

// spec says who gets what, in the plainest way: no heaps, no lanes, no counters that
// are kept up to date, everything looked for from the beginning each time. The model
// holds the real code against it.
type spec struct {
	capacity, headroom, tenantMax int
	share                         float64 // that tenantMax comes from
	tuning
	halves    int  // the headroom is at most so much, whatever headroom allows
	inTime    int  // requests in a row of those who hold nothing that did not wait for long
	enough    int  // of these for half a permit less
	less      bool // it was half a permit less, and nobody waited for long since
	last      bool // a permit has just come back from somebody who holds nothing now
	gave      int  // the client that had the permit that has just come back; -1: none did
	limits    []Limits
	held      [][]int // by client and tenant; tenant 0 is none
	age       []int64 // ticks since a client's last use; clipped where it no longer matters
	partyAge  []int64 // and since a party's
	partyLast []int   // the client of that
	queue     []specWaiter
	arrivals  int
	turn      [][]int // by client and tenant: the lowest is next
	turns     int

	// One waiter may be watched: how many rounds has it waited? A round is over when
	// every permit that was held at its beginning has come back.
	watched bool
	rounds  int
	old     [][]int // permits of the round that are still out
}

type specWaiter struct {
	c, t      int
	id        int // order of arrival
	overtaken int
	short     bool
	watched   bool
}

func newSpec(capacity, headroom, tenantMax, tenants int, limits []Limits, tn tuning) *spec {
	s := &spec{capacity: capacity, headroom: headroom, tenantMax: tenantMax, tuning: tn, halves: 2, enough: tn.inTimeInRow, gave: -1, limits: slices.Clone(limits)}
	s.share = float64(tenantMax) / float64(capacity)
	for range limits {
		s.held = append(s.held, make([]int, tenants+1))
		s.old = append(s.old, make([]int, tenants+1))
		s.turn = append(s.turn, make([]int, tenants+1))
		s.age = append(s.age, tn.activeTicks+1)
	}
	for range len(limits) + tenants {
		s.partyAge = append(s.partyAge, tn.activeTicks+1)
		s.partyLast = append(s.partyLast, 0)
	}
	return s
}

func (s *spec) clone() *spec {
	d := *s
	d.limits, d.age, d.queue = slices.Clone(s.limits), slices.Clone(s.age), slices.Clone(s.queue)
	d.partyAge, d.partyLast = slices.Clone(s.partyAge), slices.Clone(s.partyLast)
	d.held, d.old, d.turn = cloneGrid(s.held), cloneGrid(s.old), cloneGrid(s.turn)
	return &d
}

func cloneGrid(g [][]int) [][]int {
	d := make([][]int, len(g))
	for i := range g {
		d[i] = slices.Clone(g[i])
	}
	return d
}

func sum(n []int) (total int) {
	for _, v := range n {
		total += v
	}
	return total
}

func (s *spec) heldBy(c int) int { return sum(s.held[c]) }

func (s *spec) heldFor(t int) (n int) {
	for c := range s.held {
		n += s.held[c][t]
	}
	return n
}

// party numbers the tenants, and each client's work for no tenant as if it were one.
func (s *spec) party(c, t int) int {
	if t == 0 {
		return c
	}
	return len(s.held) + t - 1
}

// holdsNone reports whether a party holds nothing.
func (s *spec) holdsNone(party int) bool {
	if t := party - len(s.held) + 1; t > 0 {
		return s.heldFor(t) == 0
	}
	return s.held[party][0] == 0
}

func (s *spec) waits(c, t int) bool {
	return slices.ContainsFunc(s.queue, func(w specWaiter) bool { return w.c == c && w.t == t })
}

func (s *spec) partyWaits(party int) bool {
	return slices.ContainsFunc(s.queue, func(w specWaiter) bool { return s.party(w.c, w.t) == party })
}

func (s *spec) free() int {
	n := s.capacity
	for c := range s.held {
		n -= s.heldBy(c)
	}
	return n
}

func (s *spec) unusedReserve() (n int) {
	for c := range s.held {
		n += max(0, s.limits[c].Reserve-s.heldBy(c))
	}
	return n
}

// kept is the headroom: the permits for clients that hold nothing, and all. forever leaves out what
// goes by with time.
func (s *spec) kept(forever bool) kept {
	var k kept
	for c := range s.held {
		held := s.heldBy(c)
		if held < s.limits[c].Reserve || s.atMax(c) {
			continue
		}
		if held == 0 {
			waits := slices.ContainsFunc(s.queue, func(w specWaiter) bool { return w.c == c })
			if (s.candidate(c, false) >= 0 || s.age[c] <= s.activeTicks && !forever) && (c != s.gave || !waits) {
				k.clients++
			}
			continue
		}
		for t := range s.held[c] {
			switch p := s.party(c, t); {
			case !s.holdsNone(p):
			case s.waits(c, t):
				k.all++
			case !s.partyWaits(p) && s.partyLast[p] == c && s.partyAge[p] <= s.activeTicks && !forever:
				k.all++
			}
		}
	}
	most := (s.halves + 1) / 2
	if s.last {
		most = s.halves / 2
	}
	k.clients = min(k.clients, s.headroom, most)
	k.all = min(k.clients+k.all, s.headroom, most)
	return k
}

func (s *spec) atMax(c int) bool { return s.limits[c].Max > 0 && s.heldBy(c) >= s.limits[c].Max }

// needy reports whether a request of c for t is needy.
func (s *spec) needy(c, t int) bool {
	return s.heldBy(c) >= s.limits[c].Reserve && (s.heldBy(c) == 0 || s.holdsNone(s.party(c, t)))
}

// expected reports whether c for t is active.
func (s *spec) expected(c, t int) bool {
	if s.heldBy(c) == 0 {
		return s.age[c] <= s.activeTicks || slices.ContainsFunc(s.queue, func(w specWaiter) bool { return w.c == c })
	}
	p := s.party(c, t)
	return s.partyAge[p] <= s.activeTicks || s.partyWaits(p)
}

// observe notes that a needy request got a permit in time, or late.
func (s *spec) observe(inTime bool) {
	s.inTime++
	switch {
	case !inTime:
		if s.less && 2*s.enough > s.inTimeMost {
			s.enough = s.inTimeMost
		} else if s.less {
			s.enough *= 2
		}
		s.inTime, s.less = 0, false
		s.halves = max(2, min(s.halves+1, 2*s.headroom))
	case s.inTime == s.enough:
		if s.less || s.halves == 2 {
			s.enough = s.inTimeInRow
		}
		s.inTime, s.less = 0, s.halves > 2
		if s.halves > 2 {
			s.halves--
		}
	}
}

func (s *spec) clientMay(c, t int) bool {
	held, left := s.heldBy(c), s.free()-1
	switch {
	case left < 0 || s.atMax(c):
		return false
	case held < s.limits[c].Reserve:
		return true
	case held == 0:
		return left >= s.unusedReserve()
	case s.holdsNone(s.party(c, t)):
		return left >= s.unusedReserve()+s.kept(false).clients
	}
	return left >= s.unusedReserve()+s.kept(false).all
}

// first reports whether the i-th waiter is the first of its tenant in its client.
func (s *spec) first(i int) bool {
	return !slices.ContainsFunc(s.queue[:i], func(w specWaiter) bool {
		return w.c == s.queue[i].c && w.t == s.queue[i].t
	})
}

// tenantMay reports whether t may have one more, for a caller who came at place.
func (s *spec) tenantMay(t, place int) bool {
	left := s.tenantMax - s.heldFor(t)
	if t == 0 || s.tenantMax == 0 || left > 1 {
		return true
	}
	starved := slices.ContainsFunc(s.queue[:place], func(w specWaiter) bool { return w.t == t && w.overtaken >= s.patience })
	return left == 1 && !starved
}

// candidate returns the place of the waiter that c would serve, -1 for none: the first
// one of the tenant whose turn it is, of those that may have one; fits: and that c may
// have one for.
func (s *spec) candidate(c int, fits bool) int {
	best := -1
	for i, w := range s.queue {
		if w.c == c && s.first(i) && s.tenantMay(w.t, i) && (!fits || s.clientMay(c, w.t)) && (best < 0 || s.turn[c][w.t] < s.turn[c][s.queue[best].t]) {
			best = i
		}
	}
	return best
}

// next returns the place of the waiter to be served, -1 for none.
func (s *spec) next() int {
	best := -1
	for c := range s.held {
		i := s.candidate(c, true)
		if i < 0 {
			continue
		}
		if best < 0 || s.load(c) < s.load(s.queue[best].c) || s.load(c) == s.load(s.queue[best].c) && i < best {
			best = i
		}
	}
	return best
}

func (s *spec) load(c int) float64 {
	held := s.heldBy(c)
	if c == s.gave {
		held++
	}
	return float64(held) / float64(max(1, s.limits[c].Weight))
}

// take lets c have a permit before those of its tenants whose turn was earlier and that
// may have none themselves. Those that the headroom stops come when they hold nothing.
func (s *spec) take(c, t, turn int) {
	for i := range s.queue {
		if w := &s.queue[i]; w.c == c && s.first(i) && s.turn[c][w.t] < turn && !s.tenantMay(w.t, i) {
			w.overtaken++
		}
	}
	s.held[c][t]++
}

func (s *spec) leave(i int) {
	if s.queue[i].watched {
		s.watched, s.rounds = false, 0
		for c := range s.old {
			clear(s.old[c])
		}
	}
	s.queue = slices.Delete(s.queue, i, i+1)
}

// dispatch serves who may be served.
func (s *spec) dispatch() {
	for i := s.next(); i >= 0; i = s.next() {
		w := s.queue[i]
		s.take(w.c, w.t, s.turn[w.c][w.t])
		s.turns++
		s.turn[w.c][w.t] = 2 * s.turns
		s.leave(i)
	}
}

// ask returns whether the permit is given at once; else it waits, if it is to.
func (s *spec) ask(c, t int, wait, watch bool) bool {
	if s.clientMay(c, t) && s.tenantMay(t, len(s.queue)) && s.candidate(c, true) < 0 {
		if s.needy(c, t) {
			s.observe(true)
		}
		s.take(c, t, 2*(s.turns+1))
		s.dispatch()
		return true
	}
	short := s.needy(c, t) && !s.clientMay(c, t) && !s.atMax(c) && s.expected(c, t)
	if !wait {
		s.used(c, t)
		s.dispatch()
		return false
	}
	s.arrivals++
	s.turns++
	if !slices.ContainsFunc(s.queue, func(w specWaiter) bool { return w.c == c && w.t == t }) {
		s.turn[c][t] = 2 * s.turns
		if s.holdsNone(s.party(c, t)) { // odd, so that no two are the same
			s.turn[c][t] = 2*(s.turns-int(s.headStart)) + 1
		}
	}
	s.queue = append(s.queue, specWaiter{c: c, t: t, id: s.arrivals, watched: watch, short: short})
	if watch {
		s.watched, s.rounds, s.old = true, 0, cloneGrid(s.held)
	}
	s.dispatch()
	return false
}

// release gives back a permit; old: one of the watched waiter's round.
func (s *spec) release(c, t int, old bool) {
	s.held[c][t]--
	s.used(c, t)
	if s.watched && old {
		s.old[c][t]--
		if total := 0; !slices.ContainsFunc(s.old, func(n []int) bool { total += sum(n); return total > 0 }) {
			s.rounds++
			s.old = cloneGrid(s.held)
		}
	}
	s.last, s.gave = s.heldBy(c) == 0 || s.holdsNone(s.party(c, t)), c
	s.dispatch()
	s.last, s.gave = false, -1
}

func (s *spec) cancel(i int) {
	s.used(s.queue[i].c, s.queue[i].t)
	s.leave(i)
	s.dispatch()
}

func (s *spec) used(c, t int) {
	s.age[c] = 0
	s.partyAge[s.party(c, t)], s.partyLast[s.party(c, t)] = 0, c
}

func (s *spec) tick() {
	for c := range s.age {
		s.age[c]++
	}
	for p := range s.partyAge {
		s.partyAge[p]++
	}
	s.dispatch()
}

// key is the same for states that behave the same.
func (s *spec) key() string {
	b := make([]byte, 0, 64)
	put := func(n int) { b = binary.AppendUvarint(b, uint64(n+1)) }
	put(s.capacity)
	put(s.tenantMax)
	put(s.halves)
	if s.halves > 2 || s.less || s.enough > s.inTimeInRow { // else it changes nothing
		put(s.inTime)
		put(s.enough)
	}
	if s.less {
		put(1)
	}
	for c := range s.held {
		put(s.limits[c].Max<<8 | s.limits[c].Reserve<<4 | s.limits[c].Weight)
		for t := range s.held[c] {
			put(s.held[c][t])
			put(s.old[c][t])
		}
		age := min(s.age[c], s.activeTicks+1)
		if s.heldBy(c) > 0 || s.headroom == 0 {
			age = 0 // it begins anew
		}
		put(int(age))
	}
	for p, age := range s.partyAge {
		if !s.holdsNone(p) || s.partyWaits(p) || age > s.activeTicks || s.headroom == 0 {
			age = s.activeTicks + 1
		}
		put(int(age))
		if age <= s.activeTicks {
			put(s.partyLast[p])
		}
	}
	for _, w := range s.queue {
		who := w.c<<8 | w.t<<4
		if w.watched {
			who |= 1
		}
		if w.short {
			who |= 2
		}
		put(who)
		put(min(w.overtaken, s.patience))
	}
	for i, w := range s.queue {
		if !s.first(i) {
			continue
		}
		before := 0
		for j, v := range s.queue {
			if v.c == w.c && s.first(j) && s.turn[w.c][v.t] < s.turn[w.c][w.t] {
				before++
			}
		}
		put(before)
		// How far back it is matters for as long as a head start can pass it.
		put(min(2*s.turns-s.turn[w.c][w.t], 2*int(s.headStart)+1))
	}
	put(s.rounds)
	return string(b)
}
