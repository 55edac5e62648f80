package admission

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
)

// world is a small model whose every reachable state is visited.
type world struct {
	setup
	waiting int   // at most so many wait
	tenant  []int // asked for
	changes []op  // limits that may change at any time
	rounds  int   // if set, a waiter is watched, and is served within so many
}

// quick keeps the number of states small. part lets a small capacity have headroom.
var quick = tuning{patience: 1, activeTicks: 1, part: 1, headStart: 1, inTimeInRow: 1, inTimeMost: 2}

// TestEveryReachableState goes through all orders in which clients can ask, give up,
// release, let time pass and have their limits changed. The soak size goes on until it
// finds no new state, the other sizes visit the nearest ones.
func TestEveryReachableState(t *testing.T) {
	t.Parallel()
	none := Limits{}
	for name, w := range map[string]world{
		"two clients, one permit": {waiting: 3, tenant: []int{0}, setup: setup{
			capacity: 1, limits: []Limits{none, none}}},
		"headroom of one": {waiting: 2, tenant: []int{0}, setup: setup{
			capacity: 3, headroom: 1, limits: []Limits{none, none, none}}},
		"headroom of two": {waiting: 2, tenant: []int{0}, setup: setup{
			capacity: 4, headroom: 2, limits: []Limits{none, none, none}}},
		"weights": {waiting: 4, tenant: []int{0}, setup: setup{
			capacity: 4, limits: []Limits{none, {Weight: 3}}}},
		"max and reserve": {waiting: 3, tenant: []int{0}, setup: setup{
			capacity: 4, headroom: 1, limits: []Limits{{Max: 2}, {Reserve: 2, Max: 3}, none}}},
		"tenants in two clients": {waiting: 3, tenant: []int{0, 1, 2}, setup: setup{
			capacity: 2, tenantMax: 1, tenants: 2, limits: []Limits{none, none}}},
		"a tenant in three clients": {waiting: 2, tenant: []int{0, 1}, setup: setup{
			capacity: 2, tenantMax: 1, tenants: 1, limits: []Limits{none, none, none}}},
		"tenants and max": {waiting: 3, tenant: []int{1, 2}, setup: setup{
			capacity: 3, tenantMax: 2, tenants: 2, limits: []Limits{{Max: 1}, none}}},
		"tenants and headroom": {waiting: 3, tenant: []int{0, 1}, setup: setup{
			capacity: 3, headroom: 1, tenantMax: 2, tenants: 1, limits: []Limits{none, none}}},
		"tenants of one client and headroom": {waiting: 3, tenant: []int{0, 1, 2}, setup: setup{
			capacity: 3, headroom: 1, tenants: 2, limits: []Limits{none}}},
		"tenants, clients and headroom of two": {waiting: 2, tenant: []int{1, 2}, setup: setup{
			capacity: 4, headroom: 2, tenants: 2, limits: []Limits{none, none}}},
		"changing limits": {waiting: 3, tenant: []int{0}, changes: []op{
			{kind: opLimits, limits: Limits{Max: 1}}, {kind: opLimits, limits: Limits{Weight: 2}},
			{kind: opLimits, c: 1, limits: Limits{Reserve: 2, Max: 2}}, {kind: opLimits, c: 1}},
			setup: setup{capacity: 3, headroom: 1, limits: []Limits{none, none}}},
		"changing capacity": {waiting: 2, tenant: []int{0, 1}, changes: []op{{kind: opCapacity, n: 2}, {kind: opCapacity, n: 4}},
			setup: setup{capacity: 4, headroom: 1, tenantMax: 2, tenants: 1, limits: []Limits{none, none}}},
		"changing share": {waiting: 3, tenant: []int{0, 1}, changes: []op{{kind: opTenantMax, n: 0}, {kind: opTenantMax, n: 1}, {kind: opTenantMax, n: 2}},
			setup: setup{capacity: 2, tenantMax: 1, tenants: 1, limits: []Limits{none, none}}},
	} {
		w.tuning = quick
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w.visit(t)
		})
	}
}

// TestNobodyStarves watches one waiter through all orders of everything else. A
// round is over when all permits that were held at its beginning have come back.
func TestNobodyStarves(t *testing.T) {
	t.Parallel()
	none := Limits{}
	for name, w := range map[string]world{
		"first come, first served": {rounds: 2, waiting: 3, tenant: []int{0}, setup: setup{
			capacity: 2, limits: []Limits{none, none}}},
		"headroom": {rounds: 3, waiting: 2, tenant: []int{0}, setup: setup{
			capacity: 2, headroom: 1, limits: []Limits{none, none, none}}},
		"headroom for tenants in two clients": {rounds: 3, waiting: 2, tenant: []int{1, 2}, setup: setup{
			capacity: 2, headroom: 1, tenants: 2, limits: []Limits{none, none}}},
		"headroom for tenants": {rounds: 4, waiting: 3, tenant: []int{0, 1, 2}, setup: setup{
			capacity: 2, headroom: 1, tenants: 2, limits: []Limits{none}}},
		"reserve": {rounds: 2, waiting: 2, tenant: []int{0}, setup: setup{
			capacity: 3, headroom: 1, limits: []Limits{none, {Reserve: 2}}}},
		"a tenant at its limit in a busy client": {rounds: 10, waiting: 3, tenant: []int{0, 1}, setup: setup{
			capacity: 2, tenantMax: 1, tenants: 1, limits: []Limits{{Max: 1}, none}}},
		"the same with headroom": {rounds: 4, waiting: 2, tenant: []int{0, 1}, setup: setup{
			capacity: 3, headroom: 1, tenantMax: 1, tenants: 1, limits: []Limits{none, none}}},
	} {
		w.tuning = quick
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w.visit(t)
		})
	}
}

type step struct {
	parent int
	op     op
	spec   *spec
	steady bool
}

// visited is how many states of each world a test visits. The model has one goroutine,
// so that the race detector only makes the search slow.
func visited() int {
	if raced {
		return size.Of(30, 150, 150)
	}
	return size.Of(60, 1200, math.MaxInt)
}

// visit walks through the states, the nearest first.
func (w world) visit(t *testing.T) {
	seen := map[string]bool{}
	steps := []step{{parent: -1, spec: w.newModel().spec, steady: true}}
	seen[steps[0].spec.key()] = true
	transitions, most := 0, 0
	limit := visited()
	for i := 0; i < min(len(steps), limit); i++ {
		for _, o := range w.ops(steps[i].spec) {
			m := w.replay(steps, i)
			err := m.do(w.setup, o)
			transitions++
			if err == nil && m.rounds > w.rounds {
				err = fmt.Errorf("a waiter is there after %d rounds", m.rounds)
			}
			most = max(most, m.rounds)
			key, next := "", m.spec
			if err == nil {
				key = m.key()
				if !seen[key] && len(m.queue) > 0 {
					next = m.clone()
					err = m.drain(w.setup, i%len(m.clients))
				}
			}
			if err != nil {
				t.Fatalf("%v\nafter %v", err, append(w.path(steps, i), o))
			}
			if !seen[key] {
				seen[key] = true
				steps = append(steps, step{i, o, next, m.steady && !o.kind.changes()})
			}
		}
	}
	require.Greater(t, len(steps), 20, "the world must not be empty")
	t.Logf("%d states, %d transitions", len(steps), transitions)
	if w.rounds > 0 && len(steps) <= limit { // else the longest wait may be among the states that are left
		require.Equal(t, w.rounds, most, "the bound must be tight, or it says nothing")
	}
}

// ops returns what may happen next.
func (w world) ops(s *spec) []op {
	var all []op
	for c := range s.held {
		for _, t := range w.tenant {
			probe := s.clone()
			now := probe.ask(c, t, true, false)
			if now || len(s.queue) < w.waiting {
				all = append(all, op{kind: opAsk, c: c, t: t})
			}
			if !now && len(s.queue) < w.waiting && w.rounds > 0 && !s.watched {
				all = append(all, op{kind: opAsk, c: c, t: t, flag: true})
			}
			if s.old[c][t] > 0 {
				all = append(all, op{kind: opRelease, c: c, t: t, flag: true})
			}
			if s.held[c][t] > s.old[c][t] {
				all = append(all, op{kind: opRelease, c: c, t: t})
			}
		}
	}
	all = append(all, w.changes...)
	if s.headroom > 1 { // each waiter may report the wait at any later time
		all = append(all, op{kind: opObserve}, op{kind: opObserve, flag: true})
	}
	for i := range s.queue {
		all = append(all, op{kind: opCancel, n: i})
	}
	for c := range s.held {
		if s.heldBy(c) == 0 && s.age[c] <= s.activeTicks {
			return append(all, op{kind: opTick})
		}
	}
	for p := range s.partyAge {
		if s.holdsNone(p) && !s.partyWaits(p) && s.partyAge[p] <= s.activeTicks {
			return append(all, op{kind: opTick})
		}
	}
	return all
}

func (w world) path(steps []step, i int) []op {
	var path []op
	for ; steps[i].parent >= 0; i = steps[i].parent {
		path = append([]op{steps[i].op}, path...)
	}
	return path
}

// replay brings a fresh Controller to the i-th state.
func (w world) replay(steps []step, i int) *model {
	a, clients := w.newReal()
	m := &model{spec: steps[i].spec.clone(), ctl: a, clients: clients, steady: steps[i].steady}
	for _, o := range w.path(steps, i) {
		if _, err := m.real(o); err != nil {
			panic(err)
		}
	}
	return m
}
