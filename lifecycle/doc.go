// Package lifecycle runs the life of a PostgreSQL pool. A [Monitor] starts a
// *pgxpool.Pool inside a time budget, knows at every moment the holder of each
// connection, reports the health of the pool, and drains the pool within a bound.
//
// Package lifecycle knows neither fx nor tenants. Package fxdb adds both; a program
// without fx can use lifecycle directly:
//
//	m, err := lifecycle.New(lifecycle.Config{Pool: poolConfig})
//	if err != nil { ... }
//	if err := m.Start(ctx); err != nil { ... }
//	defer lifecycle.Drain(ctx, m, 10*time.Second)
//
// The pool behind Monitor.Pool is gated: before Start every acquire fails with
// ErrNotStarted, from the first moment of Drain on with ErrDraining.
package lifecycle
