package agentregistry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
)

// overview is a row of registry.agent_overview, in the order of columns.
type overview struct {
	ID, Name, ModelFamily                 string
	MaxConcurrentTasks                    int
	RegisteredAt, LastActiveAt            time.Time
	TaskTypes, Languages, Specializations []string
	SuccessRate, AverageQuality           float64
	AverageLatencyMs                      float64
	TaskCount                             int64
	ActiveTasks, QueuedTasks              int
	UtilizationPercent                    float64
}

const columns = `o.id, o.name, o.model_family, o.max_concurrent_tasks, o.registered_at, o.last_active_at,
o.task_types, o.languages, o.specializations, o.success_rate, o.average_quality, o.average_latency_ms,
o.task_count, o.active_tasks, o.queued_tasks, o.utilization_percent`

func (o overview) agent() Agent {
	return Agent{
		ID: o.ID, Name: o.Name, ModelFamily: o.ModelFamily,
		Capabilities:       Capabilities{o.TaskTypes, o.Languages, o.Specializations},
		Performance:        Performance{o.SuccessRate, o.AverageQuality, o.AverageLatencyMs, o.TaskCount},
		Load:               Load{o.ActiveTasks, o.QueuedTasks, o.UtilizationPercent},
		MaxConcurrentTasks: o.MaxConcurrentTasks, RegisteredAt: o.RegisteredAt, LastActiveAt: o.LastActiveAt,
	}
}

func agents(rows []overview) []Agent {
	out := make([]Agent, len(rows))
	for i, o := range rows {
		out[i] = o.agent()
	}
	return out
}

// Get returns the agent, or ErrAgentNotFound.
func (c *Client) Get(ctx context.Context, id string) (Agent, error) {
	if err := checkText("id", id, 255); err != nil {
		return Agent{}, wrap("get", err)
	}
	o, err := one[overview](ctx, c, "select "+columns+" from registry.agent_overview o where o.id = @id", pgx.NamedArgs{"id": id})
	if err != nil {
		return Agent{}, wrap("get", err)
	}
	return o.agent(), nil
}

// ListOptions say which page List returns.
type ListOptions struct {
	Limit int    // 0: all
	After string // the cursor that the page before returned
}

// cursor is the key of a page's last agent.
type cursor struct {
	LastActiveAt time.Time `json:"t"`
	ID           string    `json:"id"`
}

const listSQL = "select " + columns + ` from registry.agent_overview o
where @after_time::timestamptz is null or o.last_active_at < @after_time::timestamptz
   or (o.last_active_at = @after_time::timestamptz and o.id > @after_id::text)
order by o.last_active_at desc, o.id limit @limit::bigint`

// List returns the agents, the last active first, and the cursor of the next
// page: "" when there is none. A cursor that List did not make is a
// modules.ErrInvalid. An agent that becomes active while pages are read moves to
// the front and may be met twice or not at all.
func (c *Client) List(ctx context.Context, opts ListOptions) (page []Agent, next string, err error) {
	args := pgx.NamedArgs{"after_time": nil, "after_id": "", "limit": nil}
	if opts.Limit < 0 {
		return nil, "", wrap("list", modules.Invalid("limit", "must not be negative"))
	}
	if opts.Limit > 0 {
		args["limit"] = opts.Limit + 1 // one more tells whether there is a next page
	}
	if opts.After != "" {
		var at cursor
		raw, err := base64.RawURLEncoding.DecodeString(opts.After)
		if err != nil || json.Unmarshal(raw, &at) != nil || at.ID == "" {
			return nil, "", wrap("list", modules.Invalid("after", "must be a cursor of an earlier page"))
		}
		args["after_time"], args["after_id"] = at.LastActiveAt, at.ID
	}
	rows, err := many[overview](ctx, c, listSQL, args)
	if err != nil {
		return nil, "", wrap("list", err)
	}
	if opts.Limit > 0 && len(rows) > opts.Limit {
		rows = rows[:opts.Limit]
		last := rows[len(rows)-1]
		raw, err := json.Marshal(cursor{last.LastActiveAt, last.ID})
		if err != nil {
			return nil, "", wrap("list", err)
		}
		next = base64.RawURLEncoding.EncodeToString(raw)
	}
	return agents(rows), next, nil
}

// Query describes the agents wanted. Filters that are set are joined with AND.
type Query struct {
	TaskType        string   // can do this
	Languages       []string // knows any of these
	Specializations []string // has any of these
	MaxUtilization  *float64 // percent
	MinSuccessRate  *float64 // 0 to 1
	Limit           int      // 0: none
}

func (q Query) validate() error {
	var err error
	if q.TaskType != "" {
		err = checkText("task_type", q.TaskType, 100)
	}
	err = firstError(err, Capabilities{Languages: q.Languages, Specializations: q.Specializations}.validate())
	if q.MinSuccessRate != nil {
		err = firstError(err, checkShare("min_success_rate", *q.MinSuccessRate))
	}
	switch {
	case err != nil:
		return err
	case q.MaxUtilization != nil && !(*q.MaxUtilization >= 0 && *q.MaxUtilization <= 100):
		return modules.Invalid("max_utilization", "must be from 0 to 100")
	case q.Limit < 0:
		return modules.Invalid("limit", "must not be negative")
	}
	return nil
}

func (q Query) args() pgx.NamedArgs {
	args := pgx.NamedArgs{
		"task_type": q.TaskType, "languages": unique(q.Languages), "specializations": unique(q.Specializations),
		"max_utilization": q.MaxUtilization, "min_success_rate": q.MinSuccessRate, "limit": nil,
	}
	if q.Limit > 0 {
		args["limit"] = q.Limit
	}
	return args
}

// unique returns a set that is never nil: nil would be null.
func unique(values []string) []string {
	out := append([]string{}, values...)
	slices.Sort(out)
	return slices.Compact(out)
}

// has is a condition on a capability that the index on (tenant_id, kind, value)
// answers.
func has(kind, test string) string {
	return `exists (select from registry.agent_capabilities c
	where c.tenant_id = o.tenant_id and c.agent_id = o.id and c.kind = '` + kind + "' and c.value " + test + ")"
}

var matches = `
where (@task_type::text = '' or ` + has("task_type", "= @task_type::text") + `)
  and (cardinality(@languages::text[]) = 0 or ` + has("language", "= any(@languages::text[])") + `)
  and (cardinality(@specializations::text[]) = 0 or ` + has("specialization", "= any(@specializations::text[])") + `)
  and (@max_utilization::float8 is null or o.utilization_percent <= @max_utilization::float8)
  and (@min_success_rate::float8 is null or o.success_rate >= @min_success_rate::float8)`

var findSQL = "select " + columns + " from registry.agent_overview o" + matches + `
order by o.success_rate desc, o.utilization_percent, o.id limit @limit::bigint`

// FindByCapability returns the agents that q describes, the most successful
// first, among equals the least busy. None is an empty slice.
func (c *Client) FindByCapability(ctx context.Context, q Query) ([]Agent, error) {
	if err := q.validate(); err != nil {
		return nil, wrap("find", err)
	}
	rows, err := many[overview](ctx, c, findSQL, q.args())
	if err != nil {
		return nil, wrap("find", err)
	}
	return agents(rows), nil
}

// Scored is an agent with how well it fits.
type Scored struct {
	Agent
	Score  float64 `json:"score"`  // 0 to 1
	Reason string  `json:"reason"` // what the score is made of
}

// scoredLimit is how many FindScored returns unless the query says otherwise.
const scoredLimit = 50

// share is the part of the wanted values that an agent has; wanting none is all.
func share(wanted, column string) string {
	return "case when cardinality(@" + wanted + "::text[]) = 0 then 1.0 else (select count(*) from unnest(@" + wanted +
		"::text[]) w where w = any(" + column + "))::float8 / cardinality(@" + wanted + "::text[]) end"
}

var scoredSQL = "select s.*, 0.4 * language_share + 0.2 * specialization_share + 0.25 * success_rate + 0.15 * (1 - utilization_percent / 100) as score from (select " +
	columns + ", " + share("languages", "o.languages") + " as language_share, " +
	share("specializations", "o.specializations") + " as specialization_share from registry.agent_overview o" + matches + `) s
order by score desc, id limit @limit::bigint`

// FindScored returns the agents that q describes, the best fit first: 0.4 for
// the share of the wanted languages, 0.2 for that of the specializations, 0.25
// for the success rate and 0.15 for free capacity. Default limit 50.
func (c *Client) FindScored(ctx context.Context, q Query) ([]Scored, error) {
	if err := q.validate(); err != nil {
		return nil, wrap("find scored", err)
	}
	if q.Limit == 0 {
		q.Limit = scoredLimit
	}
	type row struct {
		overview
		LanguageShare, SpecializationShare, Score float64
	}
	rows, err := many[row](ctx, c, scoredSQL, q.args())
	if err != nil {
		return nil, wrap("find scored", err)
	}
	out := make([]Scored, len(rows))
	for i, r := range rows {
		var reason strings.Builder
		if n := len(unique(q.Languages)); n > 0 {
			fmt.Fprintf(&reason, "%.0f of %d languages, ", r.LanguageShare*float64(n), n)
		}
		if n := len(unique(q.Specializations)); n > 0 {
			fmt.Fprintf(&reason, "%.0f of %d specializations, ", r.SpecializationShare*float64(n), n)
		}
		fmt.Fprintf(&reason, "success rate %.2f, utilization %.0f%%", r.SuccessRate, r.UtilizationPercent)
		out[i] = Scored{r.agent(), r.Score, reason.String()}
	}
	return out, nil
}

const availableSQL = "select " + columns + ` from registry.agent_overview o
where o.utilization_percent < @max::float8 and o.last_active_at > now() - @within::interval
order by o.success_rate desc, o.utilization_percent, o.id`

// Available returns the agents below maxUtilization percent that were active
// within the given time, the most successful first.
func (c *Client) Available(ctx context.Context, maxUtilization float64, within time.Duration) ([]Agent, error) {
	switch {
	case !(maxUtilization >= 0 && maxUtilization <= 100):
		return nil, wrap("available", modules.Invalid("max_utilization", "must be from 0 to 100"))
	case within <= 0:
		return nil, wrap("available", modules.Invalid("within", "must be more than 0"))
	}
	rows, err := many[overview](ctx, c, availableSQL, pgx.NamedArgs{"max": maxUtilization, "within": within})
	if err != nil {
		return nil, wrap("available", err)
	}
	return agents(rows), nil
}
