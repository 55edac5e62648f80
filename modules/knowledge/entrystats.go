package knowledge

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules/internal/batch"
	"github.com/agentagency/onepool/modules/internal/check"
)

// EntryStats are figures over a tenant's entries. The database counts with each change, and the
// figures are exact.
type EntryStats struct {
	Active         int64     `json:"active"`
	Replaced       int64     `json:"replaced"`
	Archived       int64     `json:"archived"`
	NeedsReview    int64     `json:"needs_review"`    // of the active entries
	MeanConfidence float64   `json:"mean_confidence"` // of the active entries, 0 without any
	UpdatedAt      time.Time `json:"updated_at"`      // of the last change or deletion, zero without entries
}

const entryStatsSQL = `
select s.active, s.replaced, s.archived, s.needs_review, coalesce(s.confidence / nullif(s.active, 0), 0)::float8,
       case when s.active + s.replaced + s.archived > 0 then s.changed_at end
from (select coalesce(sum(active), 0)::bigint as active, coalesce(sum(replaced), 0)::bigint as replaced, coalesce(sum(archived), 0)::bigint as archived,
             coalesce(sum(needs_review), 0)::bigint as needs_review, coalesce(sum(confidence), 0) as confidence, max(changed_at) as changed_at
      from knowledge.entry_counts where source = @source::text and kind = @kind::text) s`

// EntryStats returns the figures of a source, of a kind, or of both; empty is
// any.
func (c *Client) EntryStats(ctx context.Context, source, kind string) (EntryStats, error) {
	if err := check.Storable("source and kind", source, kind); err != nil {
		return EntryStats{}, wrap("entry stats", err)
	}
	var s EntryStats
	var updated *time.Time
	err := c.db.QueryRow(ctx, entryStatsSQL, pgx.NamedArgs{"source": source, "kind": kind}).Scan(
		&s.Active, &s.Replaced, &s.Archived, &s.NeedsReview, &s.MeanConfidence, &updated)
	if err != nil {
		return EntryStats{}, wrap("entry stats", err)
	}
	if updated != nil {
		s.UpdatedAt = *updated
	}
	return s, nil
}

// In the order of the ids: concurrent calls wait for each other.
var deleteEntriesSQL = `
with gone as materialized (
    select tenant_id, id as key, now() as at from knowledge.entries
    where source = @source::text and id > @key::uuid
    order by id limit @limit::int for update
), deleted as (
    delete from knowledge.entries e using gone where e.tenant_id = gone.tenant_id and e.id = gone.key returning e.id
)` + batch.End("gone", "deleted")

// DeleteEntries deletes all entries of a source, with their history, and returns the count.
// DeleteEntries works in batches of 5000 entries, each with a round trip and a commit of its
// own. With an error DeleteEntries returns the count of the earlier batches.
func (c *Client) DeleteEntries(ctx context.Context, source string) (int64, error) {
	if err := check.ID("source", source); err != nil {
		return 0, wrap("delete entries", err)
	}
	n, err := batch.Walk(ctx, batch.FirstUUID, pgx.NamedArgs{"source": source}, batch.Statement(c.db, deleteEntriesSQL))
	return n, wrap("delete entries", err)
}
