package testkit

import (
	"context"
	"testing"
	"time"

	"github.com/agentagency/onepool/fxdb"
)

// Clock is the server's clock of a test's database. Clock is not safe for concurrent use.
type Clock struct {
	t  testing.TB
	db *fxdb.DB
}

// clockSQL makes functions with the names of the server's own in a schema ahead of pg_catalog.
const clockSQL = `
create schema testkit_clock;
create table testkit_clock.ahead (shift interval not null);
insert into testkit_clock.ahead values ('0');
create function testkit_clock.now() returns timestamptz language sql stable as 'select pg_catalog.now() + (select shift from testkit_clock.ahead)';
create function testkit_clock.transaction_timestamp() returns timestamptz language sql stable as 'select testkit_clock.now()';
create function testkit_clock.statement_timestamp() returns timestamptz language sql stable as 'select pg_catalog.statement_timestamp() + (select shift from testkit_clock.ahead)';
create function testkit_clock.clock_timestamp() returns timestamptz language sql volatile as 'select pg_catalog.clock_timestamp() + (select shift from testkit_clock.ahead)';
grant usage on schema testkit_clock to public;
grant select on testkit_clock.ahead to public;
do $$ begin
    execute format('alter database %I set search_path = testkit_clock, pg_catalog, %s', current_database(),
        (select string_agg(quote_ident(s), ', ') from unnest(string_to_array(replace(current_setting('search_path'), '"', ''), ', ')) s));
end $$`

// ServerClock returns a clock for now() in the statements of db: a time to live ends, a deadline
// passes, and the test does not wait. DB, Pool or Swap must have made db. Call ServerClock once
// for a database, before the test begins a transaction: the pool replaces all connections.
//
// The clock works by functions in a schema before pg_catalog in the search_path. A client's
// statements find the functions under the names now, transaction_timestamp, statement_timestamp
// and clock_timestamp. The server's own clock stays in these places: defaults of columns, views,
// policies, triggers and functions that were made before, the words current_timestamp,
// current_date and localtimestamp, a name with a schema (pg_catalog.now()), statement_timeout,
// and functions or roles with a search_path of their own. A pool behind a pooler does not
// replace the pooler's connections.
func ServerClock(t testing.TB, db *fxdb.DB) *Clock {
	t.Helper()
	c := &Clock{t, db}
	c.exec(clockSQL)
	db.Pool().Reset()
	return c
}

// Advance moves now() by d, also backwards. A statement that has begun keeps the old time.
func (c *Clock) Advance(d time.Duration) {
	c.t.Helper()
	c.exec("update testkit_clock.ahead set shift = shift + $1::interval", d)
}

// Set moves now() to a time, and now() goes on from the time.
func (c *Clock) Set(now time.Time) {
	c.t.Helper()
	c.exec("update testkit_clock.ahead set shift = $1::timestamptz - pg_catalog.clock_timestamp()", now)
}

// Now returns now() of the statements of db.
func (c *Clock) Now() time.Time {
	c.t.Helper()
	var now time.Time
	if err := OwnerPool(c.t, c.db).QueryRow(c.t.Context(), "select testkit_clock.now()").Scan(&now); err != nil {
		c.t.Fatalf("testkit: Clock: %v", err)
	}
	return now
}

func (c *Clock) exec(sql string, args ...any) {
	c.t.Helper()
	if _, err := OwnerPool(c.t, c.db).Exec(context.WithoutCancel(c.t.Context()), sql, args...); err != nil {
		c.t.Fatalf("testkit: Clock: %v", err)
	}
}
