package fxdb

import (
	"sync"
	"sync/atomic"
)

// reasons are the reasons for statements outside any tenant that onepool has logged for a
// client.
type reasons struct {
	known sync.Map // of string
	n     atomic.Int64
}

// maxReasons bounds the reasons of a client that onepool remembers and logs. A client may
// give a new reason with each statement.
const maxReasons = 100

func (r *reasons) isNew(reason string) bool {
	if _, ok := r.known.Load(reason); ok || r.n.Load() >= maxReasons {
		return false
	}
	if _, ok := r.known.LoadOrStore(reason, nil); ok {
		return false
	}
	r.n.Add(1)
	return true
}
