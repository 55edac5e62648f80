package knowledge

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules/internal/batch"
)

// Each batch decays entries by the time since their last decay, so the frequency of runs does
// not change the result. An entry that decayed within the last hour waits for a later run: runs
// in short order find nothing to do. A run skips rows that a concurrent statement has locked,
// so two runs share the work. The exponent is bounded, since the server fails on a number too
// small for a double. Entries below 0.01 are archived.
var decaySQL = `
with due as materialized (
    select tenant_id, id as key, confidence, decay_rate, coalesce(decayed_at, replaced_at) as at
    from knowledge.entries
    where status = 'replaced' and coalesce(decayed_at, replaced_at) <= now() - interval '1 hour'
      and (coalesce(decayed_at, replaced_at), id) > (@at::timestamptz, @key::uuid)
    order by coalesce(decayed_at, replaced_at), id limit @limit::int for no key update skip locked
), faded as (
    select tenant_id, key,
           case when confidence < 0.01 then confidence
                else confidence * exp(greatest(-50, ln(decay_rate) * extract(epoch from now() - at) / 86400))
           end as confidence
    from due
), decayed as (
    update knowledge.entries e set
        confidence = faded.confidence,
        decayed_at = now(),
        status     = case when faded.confidence < 0.01 then 'archived' else 'replaced' end
    from faded where e.tenant_id = faded.tenant_id and e.id = faded.key
    returning e.tenant_id
)` + batch.End("due", "decayed")

// DecayEntries lowers the confidence of replaced entries by their rate per day (0.95) since the
// last decay or the replacement, and archives entries below 0.01. DecayEntries returns the
// count of lowered entries. Call DecayEntries as often as you like: an entry decays at most once
// an hour. DecayEntries works in batches of 5000 entries, each with a round trip and a commit of
// its own. With an error DecayEntries returns the count of the earlier batches, and the next
// call goes on with the entries that are left.
func (c *Client) DecayEntries(ctx context.Context) (int64, error) {
	n, err := batch.Walk(ctx, batch.FirstUUID, pgx.NamedArgs{}, batch.Statement(c.db, decaySQL))
	return n, wrap("decay entries", err)
}
