package webnavigator

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/tenant"
)

// DefaultWindow is how long requests are counted together unless the caller says
// otherwise.
const DefaultWindow = time.Minute

// RateLimit is what is known of a site's patience. It is the same for all
// tenants.
type RateLimit struct {
	Domain           string     `json:"domain"` // in lower case, at most 253 bytes
	Status           RateStatus `json:"status"`
	RequestsInWindow int        `json:"requests_in_window"` // 0 in SetRateLimit: as it was
	WindowResetAt    time.Time  `json:"window_reset_at"`    // zero in SetRateLimit: as it was, for a new site now
	BackoffUntil     *time.Time `json:"backoff_until"`      // nil with a status that is not ok: until it is set again
	LastRequestAt    time.Time  `json:"last_request_at"`    // zero in SetRateLimit: as it was, for a new site now
	LastError        string     `json:"last_error"`         // empty in SetRateLimit: none this time

	// What the database counts; SetRateLimit ignores it.
	BackoffCount      int   `json:"backoff_count"`      // since the site was last set ok
	ConsecutiveErrors int   `json:"consecutive_errors"` // since then too
	TotalRequests     int64 `json:"total_requests"`     // that CountRequest saw
}

// domainKey is a domain as it is kept.
func domainKey(domain string) (string, error) {
	key := strings.ToLower(domain)
	return key, modules.CheckText("domain", key, 253)
}

// shared is the context of what belongs to no tenant. It needs none.
func shared(ctx context.Context) context.Context {
	return tenant.System(ctx, "rate limits are the same for all tenants")
}

// What a row says now: a window or a backoff that has ended counts no more.
const (
	statusNow   = "case when r.backoff_until <= now() then 'ok' else r.status end"
	requestsNow = "case when r.window_end <= now() then 0 else r.requests_in_window end"
	backoffNow  = "case when r.backoff_until > now() then r.backoff_until end"
)

const rateLimitSQL = `
select r.domain, ` + statusNow + ` as status, ` + requestsNow + ` as requests_in_window, r.window_end as window_reset_at,
       ` + backoffNow + ` as backoff_until, r.last_request as last_request_at, coalesce(r.last_error_message, '') as last_error,
       r.backoff_count, r.consecutive_errors, r.total_requests
from web.rate_limits r where r.domain = @domain::text`

// RateLimit returns what is known of a domain, and false where nothing is. It
// needs no tenant.
func (c *Client) RateLimit(ctx context.Context, domain string) (RateLimit, bool, error) {
	key, err := domainKey(domain)
	if err != nil {
		return RateLimit{}, false, wrap("rate limit", err)
	}
	l, err := modules.One[RateLimit](shared(ctx), c.db, rateLimitSQL, pgx.NamedArgs{"domain": key})
	if errors.Is(err, pgx.ErrNoRows) {
		return RateLimit{}, false, nil
	}
	return l, err == nil, wrap("rate limit", err)
}

const setRateLimitSQL = `
insert into web.rate_limits as r (domain, status, requests_in_window, window_end, backoff_until, backoff_count, last_request,
    consecutive_errors, last_error_message, last_error_at)
values (@domain::text, @status::text, @requests::int, coalesce(@window_end::timestamptz, now()),
    case when @status::text <> 'ok' then @backoff_until::timestamptz end, (@status::text <> 'ok')::int,
    coalesce(@last_request::timestamptz, now()), (@error::text <> '')::int, nullif(@error::text, ''), case when @error::text <> '' then now() end)
on conflict (domain) do update set
    status             = excluded.status,
    requests_in_window = case when @requests::int > 0 then @requests::int else r.requests_in_window end,
    window_start       = case when @window_end::timestamptz <> r.window_end then now() else r.window_start end,
    window_end         = coalesce(@window_end::timestamptz, r.window_end),
    backoff_until      = excluded.backoff_until,
    backoff_count      = case when excluded.status = 'ok' then 0
                              when ` + statusNow + ` = 'ok' then r.backoff_count + 1
                              else r.backoff_count end,
    last_request       = coalesce(@last_request::timestamptz, r.last_request),
    consecutive_errors = case when excluded.last_error_message is not null then r.consecutive_errors + 1
                              when excluded.status = 'ok' then 0
                              else r.consecutive_errors end,
    last_error_message = coalesce(excluded.last_error_message, r.last_error_message),
    last_error_at      = coalesce(excluded.last_error_at, r.last_error_at)`

// SetRateLimit records what a site has said. A site that was ok, or whose backoff
// had ended, and is not any more has one backoff more; ok ends the backoff and
// clears the counts. It is no request: the total stays. It needs no tenant.
func (c *Client) SetRateLimit(ctx context.Context, l RateLimit) error {
	key, err := domainKey(l.Domain)
	err = modules.FirstError(err,
		modules.CheckEnum("status", l.Status, rateStatuses),
		modules.CheckInt32("requests_in_window", l.RequestsInWindow, 0),
		modules.CheckStorable("last_error", l.LastError),
	)
	if err != nil {
		return wrap("set rate limit", err)
	}
	_, err = c.db.Exec(shared(ctx), setRateLimitSQL, pgx.NamedArgs{
		"domain": key, "status": l.Status, "requests": l.RequestsInWindow, "window_end": modules.OrNull(l.WindowResetAt),
		"backoff_until": l.BackoffUntil, "last_request": modules.OrNull(l.LastRequestAt), "error": l.LastError,
	})
	return wrap("set rate limit", err)
}

// Decision is whether a request may be sent.
type Decision struct {
	Count      int           `json:"count"` // requests in this window, this one included
	Allowed    bool          `json:"allowed"`
	RetryAfter time.Duration `json:"retry_after_ns"` // when to ask again, 0 when allowed
}

const countRequestSQL = `
with counted as (
    insert into web.rate_limits as r (domain, requests_in_window, window_start, window_end, last_request, total_requests)
    values (@domain::text, 1, now(), now() + @window::interval, now(), 1)
    on conflict (domain) do update set
        requests_in_window = case when r.window_end <= now() then 1 else r.requests_in_window + 1 end,
        window_start       = case when r.window_end <= now() then now() else r.window_start end,
        window_end         = case when r.window_end <= now() then now() + @window::interval else r.window_end end,
        last_request       = now(),
        total_requests     = r.total_requests + 1
    returning *
), judged as (
    select r.*, ` + statusNow + ` as status_now from counted r
)
select requests_in_window as count, status_now = 'ok' and requests_in_window <= @limit::int as allowed,
       case when status_now <> 'ok' and requests_in_window > @limit::int then greatest(backoff_until, window_end) - now()
            when status_now <> 'ok' then coalesce(backoff_until, window_end) - now()
            when requests_in_window > @limit::int then window_end - now()
            else interval '0' end as retry_after
from judged`

// CountRequest counts a request to a domain, of all tenants together, and says
// whether it may be sent: when the window has no more than limit and the site is
// ok or its backoff has ended. A new window begins when the one before has ended.
// window is DefaultWindow when 0; limit must be from 1. It needs no tenant. Do
// not send the request when it fails.
func (c *Client) CountRequest(ctx context.Context, domain string, window time.Duration, limit int) (Decision, error) {
	key, err := domainKey(domain)
	if window == 0 {
		window = DefaultWindow
	}
	err = modules.FirstError(err, modules.Check("window", "must be at least 1ms", window >= time.Millisecond), modules.CheckInt32("limit", limit, 1))
	if err != nil {
		return Decision{}, wrap("count request", err)
	}
	d, err := modules.One[Decision](shared(ctx), c.db, countRequestSQL, pgx.NamedArgs{"domain": key, "window": window, "limit": limit})
	return d, wrap("count request", err)
}

// LimitedDomain is a site that takes no requests now.
type LimitedDomain struct {
	Domain     string        `json:"domain"`
	Status     RateStatus    `json:"status"`
	RetryAfter time.Duration `json:"retry_after_ns"` // 0: until it is set ok
}

const limitedDomainsSQL = `
select r.domain, r.status, coalesce(r.backoff_until - now(), interval '0') as retry_after
from web.rate_limits r
where r.status <> 'ok' and (r.backoff_until is null or r.backoff_until > now())
order by r.domain`

// LimitedDomains returns the sites that are throttled or blocked now, by name. It
// needs no tenant.
func (c *Client) LimitedDomains(ctx context.Context) ([]LimitedDomain, error) {
	domains, err := modules.Many[LimitedDomain](shared(ctx), c.db, limitedDomainsSQL, nil)
	return domains, wrap("limited domains", err)
}
