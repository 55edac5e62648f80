// Package admission shares the connections of a pool fairly between named clients, and between
// tenants. A caller first gets a permit from admission, then a connection from the pool, and
// returns both together. Package admission knows neither pools nor fx; a permit is a number.
//
//	ctl, err := admission.New(admission.Config{Capacity: 20})
//	reports := ctl.Client("reports")
//	err = reports.SetLimits(admission.Limits{Max: 8, Reserve: 1})
//	if err := reports.Acquire(ctx, tenant); err != nil { ... }
//	began := time.Now()
//	defer func() { reports.Release(tenant, time.Since(began)) }()
//
// # Who is next
//
// The controller grants a permit at once if the rules allow. Otherwise the caller waits, and the
// controller chooses the next waiter in three steps:
//
//   - Within a tenant of a client, first come, first served.
//   - Between the tenants of a client, in turns. Work without a tenant takes turns like a tenant. A
//     tenant that holds nothing comes a little earlier.
//   - Between clients, the client that holds least for the client's Weight; among equal clients, the
//     client whose caller has waited longest.
//
// The controller counts a client that returns a permit as the permit's holder during the choice
// of the next waiter. Otherwise the client would get the permit again and again before older
// callers of clients that hold as much.
//
// A tenant at the tenant's limit (Config.TenantMaxFraction) waits without stopping the client's
// remaining tenants. After the tenant's turn has come, further waiters of the client can
// overtake the tenant eight times. Then the controller keeps the tenant's next permit for the
// overtaken waiter until the waiter's client may have another permit. No waiter starves: a bound
// exists for how often all held permits can come back before the controller serves a waiter.
//
// The controller lends idle permits: a client alone gets every permit that is not reserved. The
// controller never takes a permit back from a holder. Lent permits come back when the holders
// release the permits.
//
// # The headroom
//
// Without a headroom, long queries of a client would make all clients wait for the end of a
// query, fair or not. A client is active while the client waits, and for about 400 ms after the
// client's last use of the pool. While a client is active and holds nothing, the controller
// keeps a permit free for the client's next request. The controller does the same for the
// tenants of a client, and for the client's work without a tenant: while a tenant is active and
// holds nothing, tenants that hold permits leave a permit free. A tenant of another client never
// gets a permit that the controller keeps for a client.
//
// A headroom of one permit is enough for short statements that seldom meet. When a request of a
// client or tenant that holds nothing had to wait for more than 5 ms, the headroom grows by half
// a permit, up to two permits, but to no more permits than clients and tenants that need the
// headroom. After 128 requests in a row without a long wait, the headroom shrinks by half a
// permit. Each time the smaller headroom was too small, the controller requires twice as many
// requests, up to 1024.
//
// The controller lends half a permit by turns. A permit that leaves its holder with nothing goes
// to any waiter, because the holder seldom wants the next permit at once. The controller keeps
// the next permit that comes back from a holder of more.
//
// The headroom is 0 while no second client or tenant is active. The headroom is never more than
// a quarter of the capacity, rounded down: 0 for a capacity of 1 to 3, because a permit would
// cost the busy client a third or more of the pool; 1 from 4 on; 2 from 8 on. Even without a
// headroom, a client that holds nothing is the first to get a released permit.
//
// A timer moves the clock of the activity every 100 ms. The timer runs from the last release
// until no client and no tenant is active, or until [Controller.Close].
package admission
