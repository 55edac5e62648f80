package webnavigator

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/store"
)

// Decision reports whether the caller may send a request.
type Decision struct {
	Count      int           `json:"count"` // the tenant's requests in the window, with the counted request
	Allowed    bool          `json:"allowed"`
	RetryAfter time.Duration `json:"retry_after_ns"` // when to ask again, 0 when allowed
}

// The statement writes only rows of the tenant and of the tenant's shard, so an open
// transaction of a tenant blocks no foreign tenant. The statement reads a sum of all tenants'
// requests, as committed when the statement began.
const countRequestSQL = `
with site as (
    select r.domain, ` + statusNow + ` as status, r.backoff_until, ` + requestsNow + ` as requests, r.window_end,
           r.window_ms * interval '1 millisecond' as window_set, r.tenant_limit, r.total_limit
    from web.rate_limits r where r.domain = @domain::text
), setting as (
    select coalesce((select s.window_set from site s), @window::interval) as window_set, least(@limit::int, (select s.tenant_limit from site s)) as tenant_limit
), counted as (
    insert into web.tenant_requests as q (domain, requests_in_window, window_end, total_requests)
    select @domain::text, 1, now() + setting.window_set, 1 from setting
    on conflict (tenant_id, domain) do update set
        requests_in_window = case when q.window_end <= now() then 1 else least(q.requests_in_window, 2147483646) + 1 end,
        window_end         = case when q.window_end <= now() then excluded.window_end else least(q.window_end, excluded.window_end) end,
        last_request       = now(),
        total_requests     = q.total_requests + 1
    returning q.*
), together as (
    select sum(t.requests) as requests, min(t.window_end) as free_at
    from web.site_requests t where t.domain = @domain::text and t.window_end > now()
), waits as (
    select counted.requests_in_window, counted.window_end,
           case when site.status <> 'ok' then coalesce(site.backoff_until, counted.window_end) end as backoff,
           case when counted.requests_in_window > setting.tenant_limit then counted.window_end end as own,
           case when coalesce(together.requests, 0) + site.requests >= site.total_limit
                then coalesce(together.free_at, site.window_end) end as others
    from counted cross join setting cross join together left join site on true
), judged as (
    select w.*, greatest(w.backoff, w.own, w.others) as until from waits w
), noted as (
    insert into web.site_requests as t (domain, shard, requests, window_end)
    select site.domain, hashtextextended(app.current_tenant(), 0), 1, judged.window_end
    from judged, site where judged.until is null and site.total_limit is not null
    on conflict (domain, shard) do update set
        requests   = case when t.window_end <= now() then 1 else t.requests + 1 end,
        window_end = case when t.window_end <= now() then excluded.window_end else least(t.window_end, excluded.window_end) end
)
select requests_in_window as count, until is null as allowed, greatest(until - now(), interval '0') as retry_after from judged`

// CountRequest counts a request of the tenant to a domain and reports whether the caller may
// send the request. The caller may send if the tenant's window has no more than limit requests,
// and the site is ok or the site's backoff has ended. A new window begins when the previous
// window has ended. window is DefaultWindow when 0, and MaxWindow at most; limit must be at
// least 1.
//
// The settings of SetRateLimit win: a window in place of the caller's window, a tenant's limit
// if the caller's limit is higher, and a limit of all tenants together. All tenants together
// may exceed the common limit by the requests of concurrent calls or open transactions. Do not
// send the request if CountRequest fails.
func (c *Client) CountRequest(ctx context.Context, domain string, window time.Duration, limit int) (Decision, error) {
	key, err := domainKey(domain)
	if window == 0 {
		window = DefaultWindow
	}
	err = check.First(err,
		check.That("window_ns", "must be from 1 ms to 24 h, and 0 for the default", validWindow(window)),
		check.Int32("limit", limit, 1),
	)
	if err != nil {
		return Decision{}, wrap("count request", err)
	}
	d, err := store.One[Decision](ctx, c.db, countRequestSQL, pgx.NamedArgs{"domain": key, "window": window, "limit": limit})
	return d, wrap("count request", err)
}
