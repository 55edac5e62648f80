package knowledge

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
)

// EntryStats are figures over a tenant's entries.
type EntryStats struct {
	Active         int64     `json:"active"`
	Replaced       int64     `json:"replaced"`
	Archived       int64     `json:"archived"`
	NeedsReview    int64     `json:"needs_review"`    // of the active entries
	MeanConfidence float64   `json:"mean_confidence"` // of the active entries, 0 without any
	UpdatedAt      time.Time `json:"updated_at"`      // of the newest entry, zero without entries
}

const entryStatsSQL = `
select count(*) filter (where status = 'active'), count(*) filter (where status = 'replaced'), count(*) filter (where status = 'archived'),
       count(*) filter (where status = 'active' and needs_review), coalesce(avg(confidence) filter (where status = 'active'), 0), max(updated_at)
from knowledge.entries
where (@source::text = '' or source = @source::text) and (@kind::text = '' or kind = @kind::text)`

// EntryStats returns the figures of a source, of a kind, or of both; empty is
// any.
func (c *Client) EntryStats(ctx context.Context, source, kind string) (EntryStats, error) {
	if err := modules.CheckStorable("source and kind", source, kind); err != nil {
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

// In the order of DecayEntries: concurrent calls of the two wait for each other.
const deleteEntriesSQL = `
with gone as (
    select tenant_id, id from knowledge.entries where source = $1 order by id for update
)
delete from knowledge.entries e using gone where e.tenant_id = gone.tenant_id and e.id = gone.id`

// DeleteEntries deletes all entries of a source, with their history, and returns the count.
func (c *Client) DeleteEntries(ctx context.Context, source string) (int64, error) {
	if err := modules.CheckID("source", source); err != nil {
		return 0, wrap("delete entries", err)
	}
	tag, err := c.db.Exec(ctx, deleteEntriesSQL, source)
	return tag.RowsAffected(), wrap("delete entries", err)
}
