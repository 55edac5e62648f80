package verification

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/sqlarg"
	"github.com/agentagency/onepool/modules/internal/store"
)

// countRuns returns a statement that adds runs of methods to the figures in a table with the
// given key. from has the runs as run(method, success, ms, error, place). The figures change in
// the order of the methods: two results of a tenant with the same methods don't deadlock.
func countRuns(table, key, from string) string {
	return fmt.Sprintf(`
    insert into %s as m (method_type, total_requests, successful_requests, failed_requests, total_processing_time_ms,
        last_used_at, last_error_message, last_error_at)
    select run.method, count(*), count(*) filter (where run.success), count(*) filter (where not run.success), sum(run.ms), now(),
           (array_agg(run.error order by run.place desc) filter (where run.error is not null))[1], max(now()) filter (where run.error is not null)
    from %s
    group by run.method order by run.method
    on conflict (%s) do update set
        total_requests           = m.total_requests + excluded.total_requests,
        successful_requests      = m.successful_requests + excluded.successful_requests,
        failed_requests          = m.failed_requests + excluded.failed_requests,
        total_processing_time_ms = m.total_processing_time_ms + excluded.total_processing_time_ms,
        last_used_at             = excluded.last_used_at,
        last_error_message       = coalesce(excluded.last_error_message, m.last_error_message),
        last_error_at            = coalesce(excluded.last_error_at, m.last_error_at)`, table, from, key)
}

// countTenantRuns is countRuns for the figures of a tenant.
func countTenantRuns(from string) string {
	return countRuns("verification.method_runs", "tenant_id, method_type", from)
}

const oneRun = "(select @method::text, @success::bool, @ms::float8, @error::text, 1) as run(method, success, ms, error, place)"

var (
	recordTenantRunSQL = countTenantRuns(oneRun)
	recordSharedRunSQL = countRuns("verification.methods", "method_type", oneRun)
)

// runArgs adds the runs of a result's methods. A method without an error has succeeded, with
// any verdict.
func runArgs(args pgx.NamedArgs, results []MethodResult) {
	n := len(results)
	methods, successes, ms, errs := make([]string, n), make([]bool, n), make([]float64, n), make([]*string, n)
	for i, r := range results {
		methods[i], successes[i], ms[i], errs[i] = string(r.Method), r.Err == nil, milliseconds(r.ProcessingTime), r.Err
	}
	args["run_methods"], args["run_successes"], args["run_ms"], args["run_errors"] = methods, successes, ms, errs
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// MethodRun is a run of a method.
type MethodRun struct {
	Success  bool
	Duration time.Duration
	Err      *string // nil: the last error stays
}

// RecordMethodRun adds a run to the figures of a method, as SaveResult does for the methods of
// a result. Only the tenant sees the tenant's runs and errors. A run without a tenant is an
// operator's run, and every tenant reads the figures of an operator's runs.
func (c *Client) RecordMethodRun(ctx context.Context, method MethodType, run MethodRun) error {
	err := check.First(
		check.Enum("method", method, methodTypes),
		checkDuration("duration", run.Duration),
		check.Optional("err", run.Err),
	)
	if err != nil {
		return wrap("record method run", err)
	}
	ctx, scoped := c.db.Anybody(ctx, shared)
	sql := recordSharedRunSQL
	if scoped {
		sql = recordTenantRunSQL
	}
	_, err = c.db.Exec(ctx, sql, pgx.NamedArgs{
		"method": method, "success": run.Success, "ms": milliseconds(run.Duration), "error": run.Err,
	})
	return wrap("record method run", err)
}

// MethodPatch names the changes of SetMethod; nil fields stay. The rates, 0 to 1, come from
// labelled data.
type MethodPatch struct {
	Enabled           *bool
	Priority          *int           // 1 to 10, 1 is tried first
	Timeout           *time.Duration // from 1 ms, kept in ms
	Config            map[string]any // replaces the whole
	Accuracy          *float64
	FalsePositiveRate *float64
	Precision         *float64
	Recall            *float64
}

func (p MethodPatch) validate() error {
	var err error
	if p.Priority != nil {
		err = check.That("priority", "must be from 1 to 10", *p.Priority >= 1 && *p.Priority <= 10)
	}
	if p.Timeout != nil {
		err = check.First(err, check.That("timeout", "must be at least 1ms", *p.Timeout >= time.Millisecond),
			check.Timeout("timeout", *p.Timeout))
	}
	for _, rate := range []struct {
		field string
		value *float64
	}{{"accuracy", p.Accuracy}, {"false_positive_rate", p.FalsePositiveRate}, {"precision", p.Precision}, {"recall", p.Recall}} {
		if rate.value != nil {
			err = check.First(err, check.Share(rate.field, *rate.value))
		}
	}
	return err
}

const setMethodSQL = `
insert into verification.methods as m (method_type, enabled, priority, timeout_ms, config, accuracy_rate, false_positive_rate, precision_rate, recall_rate)
values (@method, coalesce(@enabled::bool, true), coalesce(@priority::int, 1), coalesce(@timeout_ms::bigint, 10000), coalesce(@config::text::jsonb, '{}'),
    @accuracy::float8, @false_positive::float8, @precision::float8, @recall::float8)
on conflict (method_type) do update set
    enabled             = coalesce(@enabled::bool, m.enabled),
    priority            = coalesce(@priority::int, m.priority),
    timeout_ms          = coalesce(@timeout_ms::bigint, m.timeout_ms),
    config              = coalesce(@config::text::jsonb, m.config),
    accuracy_rate       = coalesce(@accuracy::float8, m.accuracy_rate),
    false_positive_rate = coalesce(@false_positive::float8, m.false_positive_rate),
    precision_rate      = coalesce(@precision::float8, m.precision_rate),
    recall_rate         = coalesce(@recall::float8, m.recall_rate)`

// SetMethod changes how a method is set up, for all tenants. The setting is an
// operator's: a context with a tenant is a modules.ErrForbidden.
func (c *Client) SetMethod(ctx context.Context, method MethodType, p MethodPatch) error {
	args := pgx.NamedArgs{
		"method": method, "enabled": p.Enabled, "priority": p.Priority, "timeout_ms": nil, "config": nil, "accuracy": p.Accuracy,
		"false_positive": p.FalsePositiveRate, "precision": p.Precision, "recall": p.Recall,
	}
	err := check.First(check.Enum("method", method, methodTypes), p.validate())
	if p.Timeout != nil {
		args["timeout_ms"] = p.Timeout.Milliseconds()
	}
	if p.Config != nil {
		config, configErr := sqlarg.JSON("config", p.Config)
		args["config"], err = config, check.First(err, configErr)
	}
	ctx, forbidden := store.Operator(ctx, shared)
	if err := check.First(err, forbidden); err != nil {
		return wrap("set method", err)
	}
	_, err = c.db.Exec(ctx, setMethodSQL, args)
	return wrap("set method", err)
}

// MethodPerformance is the setup of a method and the figures of the method's runs: the runs of
// the context's tenant, and the runs without a tenant.
type MethodPerformance struct {
	Type              MethodType     `json:"type"`
	Enabled           bool           `json:"enabled"`
	Priority          int            `json:"priority"`
	Timeout           time.Duration  `json:"timeout_ns"`
	Config            map[string]any `json:"config"`
	Total             int64          `json:"total"`
	Succeeded         int64          `json:"succeeded"`
	Failed            int64          `json:"failed"`
	SuccessRate       float64        `json:"success_rate"`           // 0 to 1, 0 without a run
	AvgProcessingTime time.Duration  `json:"avg_processing_time_ns"` // 0 without a run
	Accuracy          *float64       `json:"accuracy"`               // 0 to 1; nil: not known
	FalsePositiveRate *float64       `json:"false_positive_rate"`
	Precision         *float64       `json:"precision"`
	Recall            *float64       `json:"recall"`
	LastUsedAt        *time.Time     `json:"last_used_at"`
	LastErrorAt       *time.Time     `json:"last_error_at"`
	LastError         *string        `json:"last_error"`
}

// Row-level security leaves the runs of the context's tenant, or none.
const methodPerformanceSQL = `
select m.method_type as type, m.enabled, m.priority, m.timeout_ms * interval '1 millisecond' as timeout, m.config,
       f.total, f.succeeded, f.failed,
       coalesce(f.succeeded::float8 / nullif(f.total, 0), 0) as success_rate,
       coalesce(f.spent_ms / nullif(f.total, 0), 0) * interval '1 millisecond' as avg_processing_time,
       m.accuracy_rate as accuracy, m.false_positive_rate, m.precision_rate as precision, m.recall_rate as recall,
       f.last_used_at, f.last_error_at, f.last_error
from verification.methods m
left join verification.method_runs r on r.method_type = m.method_type
cross join lateral (
    select m.total_requests + coalesce(r.total_requests, 0) as total,
           m.successful_requests + coalesce(r.successful_requests, 0) as succeeded,
           m.failed_requests + coalesce(r.failed_requests, 0) as failed,
           m.total_processing_time_ms + coalesce(r.total_processing_time_ms, 0) as spent_ms,
           greatest(m.last_used_at, r.last_used_at) as last_used_at, greatest(m.last_error_at, r.last_error_at) as last_error_at,
           case when r.last_error_at is null or r.last_error_at < m.last_error_at then m.last_error_message else r.last_error_message end as last_error
) f
order by m.priority, m.method_type`

// MethodPerformance returns all methods, in the order of the methods' priority. Without a
// tenant the figures are of the runs without a tenant.
func (c *Client) MethodPerformance(ctx context.Context) ([]MethodPerformance, error) {
	ctx, _ = c.db.Anybody(ctx, shared)
	out, err := store.Many[MethodPerformance](ctx, c.db, methodPerformanceSQL, nil)
	return out, wrap("method performance", err)
}
