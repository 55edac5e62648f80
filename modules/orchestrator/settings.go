package orchestrator

import (
	"context"
	"encoding/json"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/sqlarg"
	"github.com/agentagency/onepool/modules/internal/store"
	"github.com/agentagency/onepool/tenant"
)

// The settings of every queue. The settings are the same for all tenants.
const (
	MaxCapacity        = "max_capacity"        // largest count of a tenant's queued tasks; 1000
	DefaultTimeoutMS   = "default_timeout_ms"  // of a task without a timeout; 30000
	MaxRetries         = "max_retries"         // attempts of a task without MaxAttempts; 3
	PriorityMode       = "priority_mode"       // a QueueMode; "priority"
	PersistenceEnabled = "persistence_enabled" // for programs that read the setting: the queue always persists; true
)

// shared is why the settings belong to no tenant.
const shared = "the queue's settings are the same for all tenants"

// An operator's values stay.
const addMissingSQL = `
insert into orchestrator.queue_config (config_key, config_value, description) values
    ('max_capacity', '1000', 'queued tasks that a tenant may have'),
    ('default_timeout_ms', '30000', 'timeout of a task that names none, in milliseconds'),
    ('max_retries', '3', 'attempts of a task that names no maximum'),
    ('priority_mode', '"priority"', 'order in which tasks are given out: fifo, priority, deadline'),
    ('persistence_enabled', 'true', 'the queue always persists')
on conflict (config_key) do nothing`

func (c *Client) addMissingSettings(ctx context.Context) error {
	_, err := changed(tenant.System(ctx, shared), c, addMissingSQL, nil)
	return wrap("add missing settings", err)
}

// Config returns the queue's settings, each as JSON. Config needs no tenant.
func (c *Client) Config(ctx context.Context) (map[string]json.RawMessage, error) {
	type row struct {
		ConfigKey   string
		ConfigValue json.RawMessage
	}
	rows, err := many[row](tenant.System(ctx, shared), c, "select config_key, config_value from orchestrator.queue_config", nil)
	if err != nil {
		return nil, wrap("config", err)
	}
	out := make(map[string]json.RawMessage, len(rows))
	for _, r := range rows {
		out[r.ConfigKey] = r.ConfigValue
	}
	return out, nil
}

const setConfigSQL = `
insert into orchestrator.queue_config as q (config_key, config_value, description, updated_by)
values (@key, @value::text::jsonb, @description::text, nullif(@by::text, ''))
on conflict (config_key) do update set
    config_value = excluded.config_value,
    description  = coalesce(excluded.description, q.description),
    updated_by   = excluded.updated_by`

// SetConfig sets a setting to value as JSON, for all tenants. key has 1 to 100 bytes. A nil
// description keeps the previous description; by names the caller, or is empty. A setting with
// a constant must have a fitting value; further settings may have any value. Only an operator
// sets settings: a context with a tenant is a modules.ErrForbidden.
func (c *Client) SetConfig(ctx context.Context, key string, value any, description *string, by string) error {
	raw, err := sqlarg.JSON("value", value)
	ctx, forbidden := store.Operator(ctx, shared)
	err = check.First(
		check.Text("key", key, 100), err, checkSetting(key, raw),
		check.Optional("description", description), check.Storable("by", by), forbidden,
	)
	if err != nil {
		return wrap("set config", err)
	}
	_, err = changed(ctx, c, setConfigSQL, pgx.NamedArgs{"key": key, "value": raw, "description": description, "by": by})
	return wrap("set config", err)
}

func checkSetting(key, raw string) error {
	switch key {
	case MaxCapacity, DefaultTimeoutMS, MaxRetries:
		var n int64
		return check.That(key, "must be a whole number from 1 to 2147483647", json.Unmarshal([]byte(raw), &n) == nil && n >= 1 && n <= math.MaxInt32)
	case PriorityMode:
		var mode QueueMode
		return check.That(key, `must be "fifo", "priority" or "deadline"`, json.Unmarshal([]byte(raw), &mode) == nil && slices.Contains(queueModes, mode))
	case PersistenceEnabled:
		return check.That(key, "must be true or false", raw == "true" || raw == "false")
	}
	return nil
}
