//go:build race

package admission

// raced: the model has one goroutine, so the race detector only makes it slow.
const raced = true
