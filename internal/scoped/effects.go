package scoped

import (
	"context"
	"hash/maphash"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/internal/sqllex"
)

// effectCache caches the effects of recent texts: onepool classifies every statement, and most
// texts repeat.
var (
	effectCache [1024]atomic.Pointer[cachedEffects]
	effectSeed  = maphash.MakeSeed()
)

type cachedEffects struct {
	sqllex.Effects
	sql   string
	named bool // the effects are of the text after pgx.NamedArgs
}

// longestCached is the longest text in the cache, in bytes.
const longestCached = 4 << 10

// EffectsOf returns the effects of a text as pgx sends it. If named is true, pgx.NamedArgs
// rewrites the text first.
func EffectsOf(sql string, named bool) sqllex.Effects {
	at := &effectCache[maphash.String(effectSeed, sql)%uint64(len(effectCache))]
	if v := at.Load(); v != nil && v.named == named && v.sql == sql {
		return v.Effects
	}
	v := classify(sql, named)
	if len(sql) <= longestCached {
		at.Store(&cachedEffects{v, sql, named})
	}
	return v
}

func classify(sql string, named bool) sqllex.Effects {
	if named {
		// The new text depends on the old one alone, not on the values.
		sql, _, _ = pgx.NamedArgs{}.RewriteQuery(context.Background(), nil, sql, nil)
	}
	v := sqllex.Classify(sql)
	if v.Taint == sqllex.Unknown && isOneWord(sql) {
		v.Taint = 0 // no SQL statement is a single word: pgx runs the statement prepared, and classified, by that name
	}
	return v
}

func isOneWord(sql string) bool {
	return strings.IndexFunc(sql, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) < 0
}

// ReadAsClassified reports whether the session reads texts as [sqllex.Classify] does.
func ReadAsClassified(conn *pgx.Conn) bool {
	pc := conn.PgConn()
	return pc.ParameterStatus("standard_conforming_strings") == "on" && pc.ParameterStatus("client_encoding") == "UTF8"
}

// needsSession are the taints of texts that need a server session beyond the transaction,
// or that leave state on a session that a pooler shares.
const needsSession = sqllex.Settings | sqllex.Role | sqllex.Listen | sqllex.Prepared | sqllex.Temp | sqllex.AdvisoryLock |
	sqllex.Cursor | sqllex.DoBlock | sqllex.Function | sqllex.Discard | sqllex.Library | sqllex.Unreadable

// LeavesSession reports whether a text can't go through a transaction pooler.
func LeavesSession(v sqllex.Effects) bool { return v.Taint&needsSession != 0 }
