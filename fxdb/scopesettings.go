package fxdb

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/agentagency/onepool/internal/scoped"
)

// setSettings writes the settings of a client's scopes. The caller holds c.mu.
func (c *core) setSettings(cl *client) {
	statement := c.statement
	if slices.Contains(c.serverSet, "statement_timeout") {
		statement = 0
	}
	cl.settings.Store(c.newSettings(cl.name, cl.timeouts, statement))
}

// newSettings lists the settings of a client's scopes. statement is the pool's own
// statement_timeout, or 0 if the pool does not know.
func (c *core) newSettings(name string, limits ServerTimeouts, statement time.Duration) *scoped.Settings {
	o := scoped.Options{
		Role:        c.cfg.TenantRole, // without a tenant too: policies may not hold the login
		Limits:      c.limitSettings(limits),
		Statement:   max(cmp.Or(limits.Statement, statement), 0),
		Transaction: max(cmp.Or(limits.Transaction, c.cfg.TransactionTimeout), 0),
		Pooled:      c.cfg.pooled(),
	}
	if name != rootClient && c.application != "" {
		o.Application = c.application + "/" + name
	}
	return scoped.NewSettings(o)
}

// limitSettings returns the client's own limits and, behind a pooler, those limits of the pool
// that the server does not set itself.
func (c *core) limitSettings(limits ServerTimeouts) (all []scoped.Limit) {
	for i, limit := range []time.Duration{limits.Statement, limits.Lock, limits.IdleInTransaction} {
		name := timeoutSettings[i]
		if limit != 0 {
			all = append(all, scoped.Limit{Name: name, Value: milliseconds(limit), PerClient: true})
		} else if at := slices.IndexFunc(c.cfg.pooledTimeouts, func(p param) bool { return p.name == name }); at >= 0 && !slices.Contains(c.serverSet, name) {
			all = append(all, scoped.Limit{Name: name, Value: c.cfg.pooledTimeouts[at].value})
		}
	}
	return all
}

// transactionTimeoutVersion is the first server with transaction_timeout.
const transactionTimeoutVersion = 170000

// knownTimeout returns the statement_timeout with which a connection begins; 0 if the connection
// has no statement_timeout, or if the server sets the value itself.
func knownTimeout(params map[string]string) time.Duration {
	ms, _ := strconv.ParseInt(params["statement_timeout"], 10, 32)
	return time.Duration(max(ms, 0)) * time.Millisecond
}

// grace returns how long after a deadline the watcher of a connection waits for the server's
// answer: two round trips and some time for a busy machine, at most one second.
func (c *core) grace() time.Duration {
	return min(100*time.Millisecond+2*c.monitor.Latency(), time.Second)
}
