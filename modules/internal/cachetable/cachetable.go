// Package cachetable implements the clients' caches: a table per client, led by the tenant,
// whose entries expire, and a table of hits and misses.
package cachetable

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/batch"
	"github.com/agentagency/onepool/modules/internal/sqlarg"
	"github.com/agentagency/onepool/modules/internal/store"
)

// Table is a cache of a client: schema.cache, with the columns cache_key, expires_at,
// size_bytes, access_count, created_at and last_accessed_at, and schema.cache_counters. The
// counters have rows of differences: a trigger adds a row for entries that come or go.
type Table struct {
	get, put, purge, stats string
}

// New returns the cache in a schema. The column named content keeps the content, which is JSON;
// the columns named others are of type text.
func New(schema, content string, others ...string) Table {
	table := schema + ".cache"
	columns := append([]string{content}, others...)
	values := "@content::text::jsonb"
	for _, c := range others {
		values += ", @" + c + "::text"
	}
	sets := ""
	for _, c := range columns {
		sets += fmt.Sprintf("%[1]s = excluded.%[1]s, ", c)
	}
	return Table{
		get: fmt.Sprintf(`
with hit as (
    update %s set access_count = access_count + 1, last_accessed_at = now()
    where cache_key = @key and expires_at > now()
    returning %s
), %s
select %[2]s::text from hit`, table, content, CountSQL(schema)),
		put: fmt.Sprintf(`
insert into %s (cache_key, expires_at, size_bytes, %s)
values (@key, now() + @ttl::interval, @size::bigint, %s)
on conflict (tenant_id, cache_key) do update set
    %ssize_bytes = excluded.size_bytes, created_at = now(), expires_at = excluded.expires_at, access_count = 0, last_accessed_at = now()`,
			table, strings.Join(columns, ", "), values, sets),
		purge: PurgeSQL(schema, "cache_key", ""),
		stats: StatsSQL(schema, "size_bytes", "", ""),
	}
}

// Get returns the content that [Table.Put] stored under key, and false if key is missing or
// expired. The content is equal JSON, but may be spelled differently. Get counts a hit or a
// miss.
func (t Table) Get(ctx context.Context, db *store.DB, key string) (content string, found bool, err error) {
	// After a loss of the connection fxdb sends the statement again: a hit counted twice does no
	// harm.
	content, err = store.Value[string](fxdb.Idempotent(ctx), db, t.get, pgx.NamedArgs{"key": key})
	if errors.Is(err, pgx.ErrNoRows) {
		return "", false, nil
	}
	return content, err == nil, err
}

// Put stores JSON under key for the duration ttl, and replaces older content. others holds the
// values of New's text columns, by name.
func (t Table) Put(ctx context.Context, db *store.DB, key, content string, ttl time.Duration, others pgx.NamedArgs) error {
	args := pgx.NamedArgs{"key": key, "content": content, "ttl": ttl, "size": len(content)}
	for name, v := range others {
		args[name] = v
	}
	_, err := db.Exec(ctx, t.put, args)
	return err
}

// Purge deletes expired entries, and returns the number of deleted entries. With an error Purge
// returns the number from the batches before the error.
func (t Table) Purge(ctx context.Context, db *store.DB) (int64, error) {
	return Purge(ctx, db, t.purge)
}

// Stats returns the figures of the tenant's cache.
func (t Table) Stats(ctx context.Context, db *store.DB) (modules.CacheStats, error) {
	return store.One[modules.CacheStats](ctx, db, t.stats, nil)
}

// CountSQL returns a common table expression that counts a hit when the expression named hit has
// a row, and otherwise a miss. The expression adds a row of differences, and waits for no other
// statement.
func CountSQL(schema string) string {
	return fmt.Sprintf(`counted as (
    insert into %s.cache_counters (hits, misses)
    select h.n, 1 - h.n from (select least(count(*), 1) as n from hit) h
)`, schema)
}

// StatsSQL returns a statement for the figures of a cache: the counted entries without the
// expired entries that no purge has deleted yet, and the sums of the counters. The cost grows
// with the expired entries. size is the column of an entry's bytes. more and moreExpired are further
// columns, each with a comma in front: of the whole, and of the expired entries, which are x.
func StatsSQL(schema, size, more, moreExpired string) string {
	return fmt.Sprintf(`
select t.entries - x.entries as entries, t.size_bytes - x.size_bytes as size_bytes, t.hits, t.misses,
       coalesce(t.hits::float8 / nullif(t.hits + t.misses, 0), 0) as hit_rate%[3]s
from (select coalesce(sum(entries), 0)::bigint as entries, coalesce(sum(size_bytes), 0)::bigint as size_bytes,
             coalesce(sum(hits), 0)::bigint as hits, coalesce(sum(misses), 0)::bigint as misses from %[1]s.cache_counters) t,
     (select count(*) as entries, coalesce(sum(%[2]s), 0)::bigint as size_bytes%[4]s from %[1]s.cache where expires_at <= now()) x`,
		schema, size, more, moreExpired)
}

// PurgeSQL returns a statement for [Purge] that deletes the expired rows of schema.cache, whose
// key is the tenant and a column. A row under a concurrent write stays until the next purge. more
// are further common table expressions, each with a comma behind.
func PurgeSQL(schema, key, more string) string {
	return "\nwith " + more + fmt.Sprintf(`gone as materialized (
    select tenant_id, %[2]s as key, expires_at as at from %[1]s.cache
    where expires_at <= now() and (expires_at, %[2]s) > (@at::timestamptz, @key::text)
    order by expires_at, %[2]s limit @limit::int for update skip locked
), deleted as (
    delete from %[1]s.cache c using gone where c.tenant_id = gone.tenant_id and c.%[2]s = gone.key returning c.tenant_id
)`, schema, key) + batch.End("gone", "deleted")
}

// Purge runs a statement of [PurgeSQL] until no expired row is left.
func Purge(ctx context.Context, db *store.DB, sql string) (int64, error) {
	return batch.Walk(ctx, "", nil, batch.Statement(db, sql))
}

// KeyLimit is the longest key that a cache keeps unchanged, in bytes. KeyLimit is less than the
// length of a SHA-256 in hex: no unchanged key can equal a hash.
const KeyLimit = 63

// Key returns the stored form of a key: a key of more than [KeyLimit] bytes becomes a SHA-256 in
// hex.
func Key(key string) string {
	if len(key) <= KeyLimit {
		return key
	}
	return sqlarg.SHA256(key)
}
