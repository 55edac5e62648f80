// Package batch walks over the rows that a client deletes or changes, a bounded number of rows
// for each statement. Each batch begins behind the last row of the previous batch: no batch
// visits the dead rows that the previous batches left in the index.
package batch

import (
	"context"
	"maps"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/agentagency/onepool/modules/internal/store"
)

// Size is the largest number of rows of a batch: no statement takes long or holds many locks.
const Size = 5000

// FirstUUID is the key in front of all keys of type uuid.
const FirstUUID = "00000000-0000-0000-0000-000000000000"

// Done is the row that a statement of [Walk] returns.
type Done struct {
	Visited int64              // rows of the batch; fewer than the limit end the walk
	Changed int64              // rows that the statement changed
	At      pgtype.Timestamptz // the place of the last visited row, null without rows
	Key     string
}

// Step runs a batch behind a place, and returns the batch's end.
type Step func(ctx context.Context, args pgx.NamedArgs) (Done, error)

// Walk runs step until a batch visits fewer than @limit rows, and returns the number of changed
// rows. A batch visits the rows with (time, key) > (@at, @key) in the order of time and key; the
// first batch begins before all times, and behind key. Each batch commits: with an error Walk
// returns the number from the batches before. A later walk begins again with the rows that are
// left.
func Walk(ctx context.Context, key string, args pgx.NamedArgs, step Step) (changed int64, err error) {
	at := pgtype.Timestamptz{InfinityModifier: pgtype.NegativeInfinity, Valid: true}
	for {
		here := pgx.NamedArgs{"limit": Size, "at": at, "key": key}
		maps.Copy(here, args)
		done, err := step(ctx, here)
		if err != nil {
			return changed, err
		}
		changed += done.Changed
		if done.Visited < Size || !done.At.Valid {
			return changed, nil
		}
		at, key = done.At, done.Key
	}
}

// Statement is a [Step] of a single statement, in a single round trip.
func Statement(db *store.DB, sql string) Step {
	return func(ctx context.Context, args pgx.NamedArgs) (Done, error) {
		return store.One[Done](ctx, db, sql, args)
	}
}

// End is the end of a statement of [Walk]. The common table expression named visited has the
// columns at and key; the expression named changed has a row for each changed row.
func End(visited, changed string) string {
	return `
select (select count(*) from ` + visited + `) as visited, (select count(*) from ` + changed + `) as changed, l.at, coalesce(l.key::text, '') as key
from (select 1) o left join (select v.at, v.key from ` + visited + ` v order by v.at desc, v.key desc limit 1) l on true`
}
