package knowledge

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/sqlarg"
	"github.com/agentagency/onepool/modules/internal/store"
)

// The statement locks the row before the read: concurrent calls lose nothing, and the history
// has the confidence that each call found.
const reinforceSQL = `
with found as (
    select tenant_id, id, confidence as old, greatest(0, least(1, confidence + case when @success::bool then 0.05 else -0.10 end)) as new
    from knowledge.entries where id = @id::uuid for no key update
), changed as (
    update knowledge.entries e set
        confidence   = found.new,
        needs_review = e.needs_review or (not @success::bool and found.new < 0.5)
    from found where e.tenant_id = found.tenant_id and e.id = found.id
    returning e.tenant_id, e.id, found.old, found.new
), noted as (
    insert into knowledge.entry_feedback (tenant_id, entry_id, old, new, success, context)
    select tenant_id, id, old, new, @success::bool, @context::jsonb from changed
)
select new from changed`

// ReinforceEntry moves an entry's confidence after a use, by 0.05 up or 0.10 down within 0 and
// 1, and returns the new confidence. ReinforceEntry records the move with the context about. A
// failure that leaves less than 0.5 asks for a review. A missing entry is ErrEntryNotFound.
func (c *Client) ReinforceEntry(ctx context.Context, id string, success bool, about map[string]any) (float64, error) {
	if err := check.UUID("id", id); err != nil {
		return 0, wrap("reinforce entry", err)
	}
	background, err := sqlarg.JSON("context", about)
	if err != nil {
		return 0, wrap("reinforce entry", err)
	}
	confidence, err := store.Value[float64](ctx, c.db, reinforceSQL, pgx.NamedArgs{"id": id, "success": success, "context": background})
	return confidence, wrap("reinforce entry", store.OrMissing(err, ErrEntryNotFound))
}
