// Package lifecycle runs the life of one PostgreSQL pool: it starts a
// *pgxpool.Pool inside a budget, knows at every moment who holds which
// connection, says how healthy the pool is, and drains it within a bound.
//
// It knows neither fx nor tenants. Package fxdb puts both around it; a program
// without fx can use it directly:
//
//	m, err := lifecycle.New(lifecycle.Config{Pool: poolConfig})
//	if err != nil { ... }
//	if err := m.Start(ctx); err != nil { ... }
//	defer lifecycle.Drain(ctx, m, 10*time.Second)
//
// The pool behind Monitor.Pool is gated: before Start every acquire fails with
// ErrNotStarted, from the first moment of Drain on with ErrDraining.
package lifecycle
