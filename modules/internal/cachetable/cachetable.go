// Package cachetable is what the clients' caches have in common: a table per
// client, led by the tenant, whose entries expire, with a table of hits and misses
// beside it.
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
)

// Table is a cache of a client: schema.cache, with the columns cache_key,
// expires_at, size_bytes, access_count, created_at and last_accessed_at, and
// schema.cache_counters.
type Table struct {
	get, put, purge, stats string
}

// New returns the cache in a schema that keeps its content, which is JSON, in a
// column of that name, with others of type text beside it.
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
		purge: PurgeSQL(schema, "cache_key"),
		stats: fmt.Sprintf(`
select live.entries, live.size_bytes, %s
from (select count(*) as entries, coalesce(sum(size_bytes), 0)::bigint as size_bytes from %s where expires_at > now()) live
left join %s.cache_counters c on true`, CountersSQL, table, schema),
	}
}

// Get returns what Put stored under key, as JSON that is equal but need not be
// spelled the same, and false when there is nothing or it has expired. It counts a
// hit or a miss.
func (t Table) Get(ctx context.Context, db *modules.DB, key string) (content string, found bool, err error) {
	// After the loss of its connection it is sent again: to count a hit twice is no harm.
	content, err = modules.Value[string](fxdb.Idempotent(ctx), db, t.get, pgx.NamedArgs{"key": key})
	if errors.Is(err, pgx.ErrNoRows) {
		return "", false, nil
	}
	return content, err == nil, err
}

// Put stores JSON under key for as long as ttl, in place of what was there. others
// are the values of New's other columns, by name.
func (t Table) Put(ctx context.Context, db *modules.DB, key, content string, ttl time.Duration, others pgx.NamedArgs) error {
	args := pgx.NamedArgs{"key": key, "content": content, "ttl": ttl, "size": len(content)}
	for name, v := range others {
		args[name] = v
	}
	_, err := db.Exec(ctx, t.put, args)
	return err
}

// Purge deletes what has expired, and returns how many entries went. With an error
// it returns those of the batches before it.
func (t Table) Purge(ctx context.Context, db *modules.DB) (int64, error) {
	return Purge(ctx, db, t.purge)
}

// Stats returns the figures of the tenant's cache.
func (t Table) Stats(ctx context.Context, db *modules.DB) (modules.CacheStats, error) {
	return modules.One[modules.CacheStats](ctx, db, t.stats, nil)
}

// CountSQL returns a common table expression that counts a hit when the expression
// named hit has a row, and a miss else. The counters' row is locked after that of
// the hit, in every statement, so that there is no deadlock.
func CountSQL(schema string) string {
	return fmt.Sprintf(`counted as (
    insert into %s.cache_counters as c (hits, misses)
    select h.n, 1 - h.n from (select least(count(*), 1) as n from hit) h
    on conflict (tenant_id) do update set hits = c.hits + excluded.hits, misses = c.misses + excluded.misses
)`, schema)
}

// CountersSQL are the columns hits, misses and hit_rate of a select that has the
// counters' row, or none, as c.
const CountersSQL = `coalesce(c.hits, 0) as hits, coalesce(c.misses, 0) as misses,
       coalesce(c.hits::float8 / nullif(c.hits + c.misses, 0), 0) as hit_rate`

// PurgeSQL returns a statement for Purge that deletes the expired rows of
// schema.cache, whose key is the tenant and a column. A row that somebody writes at
// this moment is left to the next purge.
func PurgeSQL(schema, key string) string {
	return fmt.Sprintf(`
with gone as materialized (
    select tenant_id, %[2]s from %[1]s.cache where expires_at <= now() limit @limit::int for update skip locked
)
delete from %[1]s.cache c using gone where c.tenant_id = gone.tenant_id and c.%[2]s = gone.%[2]s`, schema, key)
}

// Purge runs a statement that deletes at most @limit rows until none is left.
func Purge(ctx context.Context, db *modules.DB, sql string) (int64, error) {
	return modules.Purge(ctx, func(ctx context.Context, limit int) (int64, error) {
		tag, err := db.Exec(ctx, sql, pgx.NamedArgs{"limit": limit})
		return tag.RowsAffected(), err
	})
}

// KeyLimit is the longest key that a cache keeps as it is, in bytes: less than a SHA-256
// in hex has, so that no key is kept as another's hash.
const KeyLimit = 63

// Key returns the key as a cache keeps it: one of more than KeyLimit bytes becomes
// its SHA-256 in hex.
func Key(key string) string {
	if len(key) <= KeyLimit {
		return key
	}
	return modules.SHA256(key)
}
