package fxdb

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// pooled reports whether a pooler gives each transaction another session on the server.
func (c Config) pooled() bool { return c.Pooler == PoolerTransaction }

// poolerKeeps are the settings that a connection may begin with through a pooler, in lower
// case: PgBouncer keeps the settings for each client.
var poolerKeeps = []string{"application_name", "client_encoding", "datestyle", "standard_conforming_strings", "timezone"}

// timeoutSettings are the settings that travel with each transaction through a pooler, because a
// pooler refuses the settings at connect.
var timeoutSettings = []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"}

// forPooler makes pc fit for a pooler, or returns an error. pgx describes statements and
// does not prepare: a description keeps pgx's types and costs less than exec.
func (c Config) forPooler(pc *pgxpool.Config) error {
	cc := pc.ConnConfig
	if !given(c.URL, "default_query_exec_mode") {
		cc.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	cc.StatementCacheCapacity = 0 // pgx refuses to prepare by name then
	return c.refuseForPooler(pc)
}

// refuseForPooler returns an error for a setting in pc that can't pass a pooler.
func (c Config) refuseForPooler(pc *pgxpool.Config) error {
	cc := pc.ConnConfig
	switch mode := cc.DefaultQueryExecMode; mode {
	case pgx.QueryExecModeCacheStatement, pgx.QueryExecModeDescribeExec:
		return &ConfigError{Setting: "DB_POOLER", Reason: "transaction can't work with default_query_exec_mode=" + strings.ReplaceAll(mode.String(), " ", "_") +
			" in DATABASE_URL: the statements of this mode need the session that prepared the statements: leave the parameter out (cache_describe), or use exec or simple_protocol"}
	}
	for _, name := range slices.Sorted(maps.Keys(cc.RuntimeParams)) {
		if lower := strings.ToLower(name); !slices.Contains(poolerKeeps, lower) && !slices.Contains(timeoutSettings, lower) {
			return &ConfigError{Setting: "DB_POOLER", Reason: fmt.Sprintf("transaction can't carry %s of DATABASE_URL or the environment: set the parameter on the server, with ALTER ROLE ... SET", name)}
		}
	}
	return nil
}

// takeTimeouts takes the parameters that a pooler would refuse at connect out of params.
func takeTimeouts(params map[string]string) (taken []param) {
	for _, name := range timeoutSettings {
		if value, ok := params[name]; ok {
			taken = append(taken, param{name: name, value: value})
			delete(params, name)
		}
	}
	return taken
}

// refuseBatch returns ErrNeedsSession for a batch with a statement about the session.
func refuseBatch(b *pgx.Batch) error {
	for _, q := range b.QueuedQueries {
		if leavesSession(q.SQL, q.Arguments) {
			return ErrNeedsSession
		}
	}
	return nil
}

// namesStatement reports whether a statement's options ask for preparation by name.
func namesStatement(args []any) bool {
	for _, arg := range args {
		switch option := arg.(type) {
		case pgx.QueryExecMode:
			return option == pgx.QueryExecModeCacheStatement
		case pgx.QueryResultFormats, pgx.QueryResultFormatsByOID, pgx.QueryRewriter:
		default:
			return false
		}
	}
	return false
}
