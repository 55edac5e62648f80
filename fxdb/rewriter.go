package fxdb

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/internal/backend"
)

// rewriting is the way in which pgx rewrites a text before the write.
type rewriting uint8

const (
	asItIs  rewriting = iota
	byNames           // pgx.NamedArgs or StrictNamedArgs: the same text each time
	watched           // by another rewriter, whose text fxdb classifies later
	unseen            // by another rewriter
)

// rewritingOf reads pgx's options before a text's arguments.
func rewritingOf(args []any) (r rewriting) {
	for _, arg := range args {
		switch arg.(type) {
		case pgx.QueryResultFormats, pgx.QueryResultFormatsByOID, pgx.QueryExecMode:
		case pgx.NamedArgs, pgx.StrictNamedArgs:
			r = byNames
		case watchedRewriter:
			r = watched
		case pgx.QueryRewriter:
			r = unseen
		default:
			return r
		}
	}
	return r
}

// watch wraps a foreign rewriter in args, so that fxdb classifies the rewriter's text. check,
// if not nil, may refuse the text. Without a foreign rewriter, watch returns args.
func watch(args []any, check func(sql string) error) []any {
	if rewritingOf(args) != unseen {
		return args
	}
	args = slices.Clone(args)
	for i, arg := range args {
		switch r := arg.(type) {
		case pgx.NamedArgs, pgx.StrictNamedArgs:
		case pgx.QueryRewriter:
			args[i] = watchedRewriter{r, check}
		}
	}
	return args
}

// watchBatch returns a copy of b whose arguments [watch] has wrapped, or b itself if no
// statement has a foreign rewriter. The caller's batch stays unchanged.
func watchBatch(b *pgx.Batch, check func(sql string) error) *pgx.Batch {
	if !slices.ContainsFunc(b.QueuedQueries, func(q *pgx.QueuedQuery) bool { return rewritingOf(q.Arguments) == unseen }) {
		return b
	}
	c := *b
	c.QueuedQueries = slices.Clone(b.QueuedQueries)
	for i, q := range c.QueuedQueries {
		own := *q
		own.Arguments = watch(own.Arguments, check)
		c.QueuedQueries[i] = &own
	}
	return &c
}

// watchedRewriter classifies the text of a foreign rewriter.
type watchedRewriter struct {
	pgx.QueryRewriter
	check func(sql string) error
}

func (r watchedRewriter) RewriteQuery(ctx context.Context, conn *pgx.Conn, sql string, args []any) (string, []any, error) {
	sql, args, err := r.QueryRewriter.RewriteQuery(ctx, conn, sql, args)
	if err == nil && r.check != nil {
		err = r.check(sql)
	}
	if err == nil {
		backend.Of(conn).Rewrites(sql)
	}
	return sql, args, err
}
