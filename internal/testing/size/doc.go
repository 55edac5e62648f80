// Package size lets one test run at three sizes: short (go test -short), usual (go
// test) and soak (ONEPOOL_SOAK=1 go test). A search of a state space, a load or a table
// of faults runs in full as a soak, and in a part that still fails on broken code
// otherwise.
package size
