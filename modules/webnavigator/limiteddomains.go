package webnavigator

import (
	"context"
	"time"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/keyset"
	"github.com/agentagency/onepool/tenant"
)

// MaxDomains is the default and the largest number of domains of a page of LimitedDomains.
const MaxDomains = 1000

// LimitedDomain is a site that takes no requests now.
type LimitedDomain struct {
	Domain     string        `json:"domain"`
	Status     RateStatus    `json:"status"`
	RetryAfter time.Duration `json:"retry_after_ns"` // 0: until SetRateLimit sets the site ok
}

var limitedDomains = keyset.List[LimitedDomain, LimitedDomain]{
	Select: `
select r.domain, r.status, coalesce(r.backoff_until - now(), interval '0') as retry_after
from web.rate_limits r
where r.status <> 'ok' and (r.backoff_until is null or r.backoff_until > now())`,
	Key:     []keyset.Column{{SQL: "r.domain", Type: keyset.Text}},
	ID:      func(d LimitedDomain) string { return d.Domain },
	Convert: keyset.Always(func(d LimitedDomain) LimitedDomain { return d }),
}

// LimitedDomains returns, by name, the sites that an operator has set throttled or blocked and
// whose backoff has not ended: the first MaxDomains sites, or with the last domain of a page the
// next page. LimitedDomains needs no tenant.
func (c *Client) LimitedDomains(ctx context.Context, after ...string) ([]LimitedDomain, error) {
	page, err := c.LimitedDomainsPage(ctx, MaxDomains, keyset.Last(after))
	return page.Items, err
}

// LimitedDomainsPage is LimitedDomains for callers of page after page; limit is from 1 to
// MaxDomains. The last domain of a page need not be limited any more.
func (c *Client) LimitedDomainsPage(ctx context.Context, limit int, after string) (modules.Page[LimitedDomain], error) {
	if err := check.That("limit", "must be from 1 to 1000", limit >= 1 && limit <= MaxDomains); err != nil {
		return modules.Page[LimitedDomain]{}, wrap("limited domains", err)
	}
	p, err := limitedDomains.Page(tenant.System(ctx, shared), c.db, limit, after, nil)
	return p, wrap("limited domains", err)
}
