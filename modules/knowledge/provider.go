package knowledge

import (
	"context"
	"math"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/store"
	"github.com/agentagency/onepool/tenant"
)

// ProviderHealth is how well a search provider works. ProviderHealth is the same for all
// tenants.
type ProviderHealth struct {
	Available           bool    `json:"available"`
	ResponseTimeMS      float64 `json:"response_time_ms"`
	ErrorRate           float64 `json:"error_rate"` // 0 to 1
	RequestsThisMinute  int     `json:"requests_this_minute"`
	RequestsThisHour    int     `json:"requests_this_hour"`
	LastError           string  `json:"last_error"`           // empty: keep the previous error
	ConsecutiveFailures int     `json:"consecutive_failures"` // counted by SetProviderHealth, ignored as an argument
}

func (h ProviderHealth) validate() error {
	return check.First(
		check.That("response_time_ms", "must be a number from 0", h.ResponseTimeMS >= 0 && !math.IsInf(h.ResponseTimeMS, 1)),
		check.Share("error_rate", h.ErrorRate),
		check.Int32("requests_this_minute", h.RequestsThisMinute, 0),
		check.Int32("requests_this_hour", h.RequestsThisHour, 0),
		check.Storable("last_error", h.LastError),
	)
}

func checkProvider(provider string) error {
	return check.First(check.Text("provider", provider, 100), check.Segment("provider", provider))
}

// shared is why providers belong to no tenant.
const shared = "providers are the same for all tenants"

const setProviderHealthSQL = `
insert into knowledge.provider_health as p (provider_name, available, avg_response_time_ms, error_rate, requests_this_minute,
    requests_this_hour, consecutive_failures, last_error_message, last_error_at)
values (@provider, @available::bool, @response_ms::float8, @error_rate::float8, @minute::int, @hour::int,
    (not @available::bool)::int, nullif(@error::text, ''), case when @error::text <> '' then now() end)
on conflict (provider_name) do update set
    available            = excluded.available,
    last_health_check    = now(),
    avg_response_time_ms = excluded.avg_response_time_ms,
    error_rate           = excluded.error_rate,
    requests_this_minute = excluded.requests_this_minute,
    requests_this_hour   = excluded.requests_this_hour,
    consecutive_failures = case when excluded.available then 0 else p.consecutive_failures + 1 end,
    last_error_message   = coalesce(excluded.last_error_message, p.last_error_message),
    last_error_at        = coalesce(excluded.last_error_at, p.last_error_at)`

// SetProviderHealth records a look at a provider, 1 to 100 bytes of name. A look at an
// unavailable provider adds to the provider's consecutive failures, a look at an available
// provider clears the failures. Only an operator records: a context with a tenant is a
// modules.ErrForbidden.
func (c *Client) SetProviderHealth(ctx context.Context, provider string, h ProviderHealth) error {
	ctx, forbidden := store.Operator(ctx, shared)
	if err := check.First(checkProvider(provider), h.validate(), forbidden); err != nil {
		return wrap("set provider health", err)
	}
	_, err := c.db.Exec(ctx, setProviderHealthSQL, pgx.NamedArgs{
		"provider": provider, "available": h.Available, "response_ms": h.ResponseTimeMS, "error_rate": h.ErrorRate,
		"minute": h.RequestsThisMinute, "hour": h.RequestsThisHour, "error": h.LastError,
	})
	return wrap("set provider health", err)
}

const providerHealthSQL = `
select available, coalesce(avg_response_time_ms, 0), error_rate, requests_this_minute, requests_this_hour,
       coalesce(last_error_message, ''), consecutive_failures
from knowledge.provider_health where provider_name = $1`

// ProviderHealth returns the last record of SetProviderHealth, or ErrProviderNotFound.
// ProviderHealth needs no tenant.
func (c *Client) ProviderHealth(ctx context.Context, provider string) (ProviderHealth, error) {
	if err := checkProvider(provider); err != nil {
		return ProviderHealth{}, wrap("provider health", err)
	}
	var h ProviderHealth
	err := c.db.QueryRow(tenant.System(ctx, shared), providerHealthSQL, provider).Scan(&h.Available, &h.ResponseTimeMS, &h.ErrorRate,
		&h.RequestsThisMinute, &h.RequestsThisHour, &h.LastError, &h.ConsecutiveFailures)
	if err != nil {
		return ProviderHealth{}, wrap("provider health", store.OrMissing(err, ErrProviderNotFound))
	}
	return h, nil
}
