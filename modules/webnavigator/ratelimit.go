package webnavigator

import (
	"context"
	"errors"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/sqlarg"
	"github.com/agentagency/onepool/modules/internal/store"
)

// DefaultWindow is the default window of CountRequest.
const DefaultWindow = time.Minute

// MaxWindow is the longest window of a limit.
const MaxWindow = 24 * time.Hour

// RateLimit is a site's rate limit: an operator's settings for all tenants, and the requests of
// the context's tenant.
type RateLimit struct {
	Domain           string     `json:"domain"` // a host name in lower case, at most 253 bytes
	Status           RateStatus `json:"status"`
	RequestsInWindow int        `json:"requests_in_window"` // 0 in SetRateLimit: unchanged
	WindowResetAt    time.Time  `json:"window_reset_at"`    // zero in SetRateLimit: unchanged, for a new site now
	BackoffUntil     *time.Time `json:"backoff_until"`      // nil with a status other than ok: until the next SetRateLimit
	LastRequestAt    time.Time  `json:"last_request_at"`    // zero in SetRateLimit: unchanged, for a new site now
	LastError        string     `json:"last_error"`         // the operator's text; empty in SetRateLimit: none

	// The operator's limits win over the limits of CountRequest's callers. 0 is none, and in
	// SetRateLimit: unchanged.
	Window      time.Duration `json:"window_ns"`    // 1 ms to MaxWindow, kept in ms
	TenantLimit int           `json:"tenant_limit"` // requests of a tenant in a window
	TotalLimit  int           `json:"total_limit"`  // requests of all tenants together in their windows

	// The database counts the fields below; SetRateLimit ignores the fields.
	BackoffCount      int   `json:"backoff_count"`      // since the site was last set ok
	ConsecutiveErrors int   `json:"consecutive_errors"` // since then too
	TotalRequests     int64 `json:"total_requests"`     // of the tenant, counted by CountRequest
}

// hostName is a name of labels, or an address of IPv4.
var hostName = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$`)

// domainKey returns the stored name of a domain: in lower case and without the dot of the root,
// so a site has a single name.
func domainKey(domain string) (string, error) {
	key := strings.TrimSuffix(strings.ToLower(domain), ".")
	_, notIP := netip.ParseAddr(key)
	return key, check.First(
		check.Text("domain", key, 253),
		check.That("domain", "must be a host name in ASCII, without scheme, port and path", notIP == nil || hostName.MatchString(key)),
	)
}

// shared is why a tenant may not set rate limits.
const shared = "rate limits are the same for all tenants"

// The present values of a row: an ended window or an ended backoff counts no more.
const (
	statusNow   = "case when r.backoff_until <= now() then 'ok' else r.status end"
	requestsNow = "case when r.window_end <= now() then 0 else r.requests_in_window end"
	backoffNow  = "case when r.backoff_until > now() then r.backoff_until end"
)

// Row-level security leaves the requests of the context's tenant, or none.
const rateLimitSQL = `
select d.domain, coalesce(` + statusNow + `, 'ok') as status,
       coalesce(` + requestsNow + `, 0) + coalesce(case when q.window_end > now() then q.requests_in_window end, 0) as requests_in_window,
       greatest(r.window_end, q.window_end) as window_reset_at, ` + backoffNow + ` as backoff_until,
       greatest(r.last_request, q.last_request) as last_request_at, coalesce(r.last_error_message, '') as last_error,
       coalesce(r.window_ms, 0) * interval '1 millisecond' as "window", coalesce(r.tenant_limit, 0) as tenant_limit, coalesce(r.total_limit, 0) as total_limit,
       coalesce(r.backoff_count, 0) as backoff_count, coalesce(r.consecutive_errors, 0) as consecutive_errors, coalesce(q.total_requests, 0) as total_requests
from (select @domain::text as domain) d
left join web.rate_limits r on r.domain = d.domain
left join web.tenant_requests q on q.domain = d.domain
where r.domain is not null or q.domain is not null`

// RateLimit returns an operator's settings of a domain and the tenant's requests, and false for
// an unknown domain. Without a tenant RateLimit returns no requests.
func (c *Client) RateLimit(ctx context.Context, domain string) (RateLimit, bool, error) {
	key, err := domainKey(domain)
	if err != nil {
		return RateLimit{}, false, wrap("rate limit", err)
	}
	ctx, _ = c.db.Anybody(ctx, shared)
	l, err := store.One[RateLimit](ctx, c.db, rateLimitSQL, pgx.NamedArgs{"domain": key})
	if errors.Is(err, pgx.ErrNoRows) {
		return RateLimit{}, false, nil
	}
	return l, err == nil, wrap("rate limit", err)
}

const setRateLimitSQL = `
insert into web.rate_limits as r (domain, status, requests_in_window, window_end, backoff_until, backoff_count, last_request,
    consecutive_errors, last_error_message, last_error_at, window_ms, tenant_limit, total_limit)
values (@domain::text, @status::text, @requests::int, coalesce(@window_end::timestamptz, now()),
    case when @status::text <> 'ok' then @backoff_until::timestamptz end, (@status::text <> 'ok')::int,
    coalesce(@last_request::timestamptz, now()), (@error::text <> '')::int, nullif(@error::text, ''), case when @error::text <> '' then now() end,
    nullif(@window_ms::bigint, 0), nullif(@tenant_limit::int, 0), nullif(@total_limit::int, 0))
on conflict (domain) do update set
    status             = excluded.status,
    requests_in_window = case when @requests::int > 0 then @requests::int else r.requests_in_window end,
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
    last_error_at      = coalesce(excluded.last_error_at, r.last_error_at),
    window_ms          = coalesce(excluded.window_ms, r.window_ms),
    tenant_limit       = coalesce(excluded.tenant_limit, r.tenant_limit),
    total_limit        = coalesce(excluded.total_limit, r.total_limit)`

// SetRateLimit records a site's answer, and an operator's limits of requests. A site that was
// ok, or whose backoff had ended, and is not ok any more has a backoff more; ok ends the
// backoff and clears the counts. Only an operator records: a context with a tenant is a
// modules.ErrForbidden.
func (c *Client) SetRateLimit(ctx context.Context, l RateLimit) error {
	key, err := domainKey(l.Domain)
	ctx, forbidden := store.Operator(ctx, shared)
	err = check.First(err,
		check.Enum("status", l.Status, rateStatuses),
		check.Int32("requests_in_window", l.RequestsInWindow, 0),
		check.Storable("last_error", l.LastError),
		check.That("window_ns", "must be from 1 ms to 24 h, and 0 for as it was", l.Window == 0 || validWindow(l.Window)),
		check.Int32("tenant_limit", l.TenantLimit, 0),
		check.Int32("total_limit", l.TotalLimit, 0),
		check.Timeout("window_ns", l.Window),
		check.Ranges(l),
		check.Past("last_request_at", l.LastRequestAt),
		forbidden,
	)
	if l.BackoffUntil != nil { // the wait until BackoffUntil is a duration
		err = check.First(err, check.Duration("backoff_until", time.Until(*l.BackoffUntil)))
	}
	if !l.WindowResetAt.IsZero() {
		err = check.First(err, check.Duration("window_reset_at", time.Until(l.WindowResetAt)))
	}
	if err != nil {
		return wrap("set rate limit", err)
	}
	_, err = c.db.Exec(ctx, setRateLimitSQL, pgx.NamedArgs{
		"domain": key, "status": l.Status, "requests": l.RequestsInWindow, "window_end": sqlarg.OrNull(l.WindowResetAt),
		"backoff_until": l.BackoffUntil, "last_request": sqlarg.OrNull(l.LastRequestAt), "error": l.LastError,
		"window_ms": l.Window.Milliseconds(), "tenant_limit": l.TenantLimit, "total_limit": l.TotalLimit,
	})
	return wrap("set rate limit", err)
}

func validWindow(d time.Duration) bool { return d >= time.Millisecond && d <= MaxWindow }
