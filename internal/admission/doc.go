// Package admission shares the connections of one pool fairly between named
// clients, and between the tenants they work for. It stands before the pool: a
// caller first gets a permit here, then a connection there, and gives both back
// together. It knows neither pools nor fx; a permit is a number.
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
// A permit is given at once where the rules allow it. Where they don't, the caller
// waits: for one tenant in one client first come, first served; the tenants of a client
// take turns, work without a tenant among them as if it were one, and one that holds
// nothing comes a little earlier; of the clients, the one that holds least for its
// Weight is served first, and of equal ones the one whose caller has waited longest. Who
// gives a permit back counts as if it still held it when it is decided who has it next: it
// would get it again and again before older callers of others that hold as much. A
// tenant that has all it may have (Config.TenantMaxFraction) waits without stopping the
// others of its client. It can be overtaken like that eight times when its turn has
// come; then the tenant's next permit is kept for it until its client may have one
// more. So nobody starves: the number of times that all permits that are out can come
// back before a waiter is served has a bound.
//
// What is idle is lent: a client alone gets every permit that is not reserved, and
// nothing is ever taken back from a holder. Lent permits come back as they are
// released.
//
// # The headroom
//
// Long queries of one client would make the others wait for the end of one of them,
// fair or not. So while other clients are active, which is while they wait or have
// used the pool in about the last 400 ms, and hold nothing, a permit stays free for
// their next request. The same holds for the tenants of one client, and for its work
// without a tenant: while others of them are active and hold nothing, a permit stays
// free of those that hold some. What is kept for a client, no tenant of another gets.
//
// One is enough for short statements that seldom meet. When a request of those that hold
// nothing had to wait for more than 5 ms it is half a permit more, up to two permits but no
// more than there are of them; after 128 in a row that did not, it is half a permit less
// again, and after twice as many each time that less did not do, up to 1024. Half a permit is
// one that is lent: what comes back from one that then holds nothing goes to anybody who
// waits, as it seldom wants the next at once, and what comes back after it from others is
// kept again. With nobody else active there is no headroom. It is never more than a quarter
// of the capacity, rounded down: with a capacity of 1 to 3 there is none, as it would cost the
// busy client a third or more of the pool, from 4 on it is one, from 8 on two. Without
// headroom a client that holds nothing is still the first to get what is released.
//
// A timer moves the clock for this every 100 ms, from the last release until
// nobody counts as active any more; Close ends it too.
package admission
