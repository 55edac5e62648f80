package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// The size of the application's data, and the shares of the operations.
const (
	clients    = 15
	texts      = 40 // statements of each kind
	tenants    = 40 // every table mixes the rows of all tenants
	itemsEach  = 50 // rows of each tenant in each table of items
	rangeRows  = 20 // rows that a range query returns
	readShare  = 65 // percent of the operations
	rangeShare = 20 // percent of the operations; the rest are inserts
)

// schemaSQL returns the SQL that makes a table to read and a table to write for every client.
func schemaSQL() string {
	var b strings.Builder
	for c := range clients {
		fmt.Fprintf(&b, `
			create table items_%02[1]d (tenant_id text not null, id int not null, body text not null, primary key (tenant_id, id));
			insert into items_%02[1]d select 'tenant-' || t, i, 'body of item ' || i
				from generate_series(0, %[2]d) t, generate_series(1, %[3]d) i;
			create table events_%02[1]d (
				tenant_id text not null, id bigint generated always as identity, body text not null, primary key (tenant_id, id));
			analyze items_%02[1]d;
			`, c, tenants-1, itemsEach)
	}
	return b.String()
}

// database holds the methods that a client needs. *pgxpool.Pool and *fxdb.DB implement database.
type database interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// client is a database client and the client's statements.
type client struct {
	db                    database
	reads, ranges, writes []string
}

// newClient makes the client with the number. A client runs all statements; if own is set, only the
// statements on the client's tables.
func newClient(db database, number int, own bool) *client {
	c := &client{db: db}
	for k := range texts {
		table := k % clients
		if own && table != number {
			continue
		}
		c.reads = append(c.reads, fmt.Sprintf("select body from items_%02d where tenant_id = $1 and id = $2 /* %d */", table, k))
		c.ranges = append(c.ranges, fmt.Sprintf("select id, body from items_%02d where tenant_id = $1 and id >= $2 order by id limit %d /* %d */", table, rangeRows, k))
		c.writes = append(c.writes, fmt.Sprintf("insert into events_%02d (tenant_id, body) values ($1, $2) /* %d */", table, k))
	}
	return c
}

type item struct {
	ID   int
	Body string
}

// do runs a random operation and checks the result: an operation that misses rows would look fast.
func (c *client) do(ctx context.Context, random *rand.Rand) error {
	text, tenant := random.IntN(len(c.reads)), fmt.Sprintf("tenant-%d", random.IntN(tenants))
	switch kind := random.IntN(100); {
	case kind < readShare:
		var body string
		return c.db.QueryRow(ctx, c.reads[text], tenant, 1+random.IntN(itemsEach)).Scan(&body)
	case kind < readShare+rangeShare:
		rows, err := c.db.Query(ctx, c.ranges[text], tenant, 1+random.IntN(itemsEach-rangeRows))
		if err != nil {
			return err
		}
		found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[item])
		if err == nil && len(found) != rangeRows {
			err = fmt.Errorf("%d rows of %d", len(found), rangeRows)
		}
		return err
	}
	tag, err := c.db.Exec(ctx, c.writes[text], tenant, "something happened")
	if err == nil && tag.RowsAffected() != 1 {
		err = fmt.Errorf("%d rows inserted", tag.RowsAffected())
	}
	return err
}

// addTo adds the client's statements, each with the second argument as the value.
func (c *client) addTo(statements map[string]any) {
	for k := range c.reads {
		statements[c.reads[k]], statements[c.ranges[k]], statements[c.writes[k]] = 1, 1, "warm"
	}
}
