package agentregistry

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/store"
)

// Patch names the changes of Update; nil fields stay.
type Patch struct {
	Name               *string       `json:"name"`
	MaxConcurrentTasks *int          `json:"max_concurrent_tasks"`
	LastActiveAt       *time.Time    `json:"last_active_at"`
	Capabilities       *Capabilities `json:"capabilities"` // replaces the whole set
}

func (p Patch) validate() error {
	var err error
	if p.Name != nil {
		err = check.Text("name", *p.Name, 255)
	}
	if p.MaxConcurrentTasks != nil {
		err = check.First(err, check.Int32("max_concurrent_tasks", *p.MaxConcurrentTasks, 1))
	}
	if p.LastActiveAt != nil {
		err = check.First(err, check.That("last_active_at", "must not be the zero time", !p.LastActiveAt.IsZero()),
			check.Time("last_active_at", *p.LastActiveAt), check.Past("last_active_at", *p.LastActiveAt))
	}
	if p.Capabilities != nil {
		err = check.First(err, p.Capabilities.validate("capabilities."))
	}
	return err
}

// The statements are a single transaction in the same round trip, but not a single statement.
// The first statement waits for the agent's row. Each later statement sees every commit until
// then, and replaces the values of a concurrent update. A later statement may also see an agent
// that was registered in between. Only the row that the first statement wrote has the
// transaction's id, and the later statements change only rows of the written agent.
const (
	updateSQL = `
update registry.agents set
    name                 = coalesce(@name::text, name),
    max_concurrent_tasks = coalesce(@capacity::int, max_concurrent_tasks),
    last_active_at       = coalesce(@last_active_at::timestamptz, last_active_at)
where id = @id`

	updatedSQL = " a.id = @id and a.xmin = pg_current_xact_id()::xid "

	updateLoadSQL = `
update registry.agent_load l set utilization_percent = least(100, l.active_tasks * 100.0 / a.max_concurrent_tasks)
from registry.agents a
where l.tenant_id = a.tenant_id and l.agent_id = a.id and` + updatedSQL

	removeCapabilitiesSQL = `
delete from registry.agent_capabilities c
using registry.agents a
where c.tenant_id = a.tenant_id and c.agent_id = a.id and` + updatedSQL + `
  and (c.kind, c.value) not in (select * from unnest(@kinds::text[], @values::text[]))`

	addCapabilitiesSQL = `
insert into registry.agent_capabilities (tenant_id, agent_id, kind, value)
select a.tenant_id, a.id, w.kind, w.value
from registry.agents a, unnest(@kinds::text[], @values::text[]) as w(kind, value)
where` + updatedSQL + `
on conflict do nothing`
)

// Update changes the fields that the patch sets. A missing agent is ErrAgentNotFound, a name of
// another agent ErrAgentExists.
func (c *Client) Update(ctx context.Context, id string, patch Patch) error {
	if err := check.First(check.ID("id", id), patch.validate()); err != nil {
		return wrap("update", err)
	}
	var updated int64
	err := store.Batch(ctx, c.db, func(b *pgx.Batch) {
		args := pgx.NamedArgs{"id": id, "name": patch.Name, "capacity": patch.MaxConcurrentTasks, "last_active_at": patch.LastActiveAt}
		b.Queue(updateSQL, args).Exec(func(tag pgconn.CommandTag) error {
			updated = tag.RowsAffected()
			return nil
		})
		if patch.MaxConcurrentTasks != nil {
			b.Queue(updateLoadSQL, pgx.NamedArgs{"id": id})
		}
		if patch.Capabilities != nil {
			kinds, values := patch.Capabilities.columns()
			args := pgx.NamedArgs{"id": id, "kinds": kinds, "values": values}
			b.Queue(removeCapabilitiesSQL, args)
			b.Queue(addCapabilitiesSQL, args)
		}
	})
	if err == nil && updated == 0 {
		err = ErrAgentNotFound
	}
	return wrap("update", err)
}
