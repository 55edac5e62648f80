// Package fallback lets a package above fxdb fill in a configuration that names
// no database, without fxdb knowing it.
package fallback

// Func fills in a configuration. The graph may hold one.
type Func[C any] func(C) (C, error)
