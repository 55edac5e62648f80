package knowledge

import "context"

// Each run decays by the time since the last run, so the frequency of runs does not change the
// result. Each run locks the rows in the same order: two runs wait for each other, and the
// second run finds nothing left to decay. The exponent is bounded, since the server fails on a
// number too small for a double. Entries below 0.01 are archived.
const decaySQL = `
with replaced as (
    select tenant_id, id,
           case when confidence < 0.01 then confidence
                else confidence * exp(greatest(-50, ln(decay_rate) * greatest(0, extract(epoch from now() - coalesce(decayed_at, replaced_at))) / 86400))
           end as confidence
    from knowledge.entries where status = 'replaced' order by id for no key update
)
update knowledge.entries e set
    confidence = replaced.confidence,
    decayed_at = greatest(now(), e.decayed_at),
    status     = case when replaced.confidence < 0.01 then 'archived' else 'replaced' end
from replaced where e.tenant_id = replaced.tenant_id and e.id = replaced.id`

// DecayEntries lowers the confidence of replaced entries by their rate per day (0.95) since the
// last decay or the replacement, and archives entries below 0.01. DecayEntries returns the
// count of lowered entries. Call DecayEntries as often as you like.
func (c *Client) DecayEntries(ctx context.Context) (int64, error) {
	tag, err := c.db.Exec(ctx, decaySQL)
	if err != nil {
		return 0, wrap("decay entries", err)
	}
	return tag.RowsAffected(), nil
}
