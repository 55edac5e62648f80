package scoped

import (
	"context"
	"hash/maphash"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/internal/sqllex"
)

// verdicts caches the verdicts on recent texts: onepool judges every statement, and most
// texts repeat.
var (
	verdicts    [1024]atomic.Pointer[verdict]
	verdictSeed = maphash.MakeSeed()
)

type verdict struct {
	sqllex.Verdict
	sql   string
	named bool // the verdict is on the text after pgx.NamedArgs
}

// longestVerdict is the longest text in the cache, in bytes.
const longestVerdict = 4 << 10

// VerdictOf judges a text as pgx sends the text. named reports that pgx.NamedArgs rewrites
// the text.
func VerdictOf(sql string, named bool) sqllex.Verdict {
	at := &verdicts[maphash.String(verdictSeed, sql)%uint64(len(verdicts))]
	if v := at.Load(); v != nil && v.named == named && v.sql == sql {
		return v.Verdict
	}
	v := judge(sql, named)
	if len(sql) <= longestVerdict {
		at.Store(&verdict{v, sql, named})
	}
	return v
}

func judge(sql string, named bool) sqllex.Verdict {
	if named {
		// The new text depends on the old one alone, not on the values.
		sql, _, _ = pgx.NamedArgs{}.RewriteQuery(context.Background(), nil, sql, nil)
	}
	v := sqllex.Judge(sql)
	if v.Taint == sqllex.Unknown && isOneWord(sql) {
		v.Taint = 0 // no statement is: pgx runs what was prepared, and judged, by that name
	}
	return v
}

func isOneWord(sql string) bool {
	return strings.IndexFunc(sql, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) < 0
}

// ReadAsJudged reports whether the session reads texts as a verdict says.
func ReadAsJudged(conn *pgx.Conn) bool {
	pc := conn.PgConn()
	return pc.ParameterStatus("standard_conforming_strings") == "on" && pc.ParameterStatus("client_encoding") == "UTF8"
}

// needsSession are the taints of texts that need a server session beyond the transaction,
// or that leave state on a session that a pooler shares.
const needsSession = sqllex.Settings | sqllex.Role | sqllex.Listen | sqllex.Prepared | sqllex.Temp | sqllex.AdvisoryLock |
	sqllex.Cursor | sqllex.Block | sqllex.Function | sqllex.Discard | sqllex.Library | sqllex.Unreadable

// LeavesSession reports whether a text can't go through a transaction pooler.
func LeavesSession(v sqllex.Verdict) bool { return v.Taint&needsSession != 0 }
