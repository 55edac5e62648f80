package backend_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/backend"
	"github.com/agentagency/onepool/testkit"
)

func TestAConnectionOfNoPoolHasNoFacts(t *testing.T) {
	t.Parallel()
	var f *backend.Facts
	f.Reads()
	f.UndoWith("select 1")
	f.Prepares("mine", "select 1")
	f.LosePreparation()
	f.Sends(backend.Text{SQL: "set work_mem = '3MB'"})
	f.Rewrites("set work_mem = '3MB'")
	f.Worsen(backend.Close)
	f.Answers(io.EOF, true)
	f.Settle()
	f.Discards()
	f.Cleaned()
	_, prepared := f.PreparedAs("mine")
	require.False(t, prepared)
	require.False(t, f.LostInPreparation())
	require.Equal(t, backend.NoCleanup, f.Cleanup())
	require.True(t, f.Undo(t.Context()))
	require.Empty(t, f.EndedBy())
	require.NoError(t, f.BrokenBy())
}

// classify calls a SET resettable and a LISTEN lasting.
func classify(_ *pgx.Conn, text backend.Text) (cleanup backend.Cleanup, single bool) {
	switch {
	case strings.Contains(text.SQL, "set "):
		cleanup = backend.Reset
	case strings.Contains(text.SQL, "listen"):
		cleanup = backend.Close
	}
	return cleanup, !strings.Contains(text.SQL, ";")
}

func TestTheAnswerDecidesTheTaintOfASingleText(t *testing.T) {
	t.Parallel()
	conn := testkit.OwnerPool(t, testkit.DB(t))
	held, err := conn.Acquire(t.Context())
	require.NoError(t, err)
	defer held.Release()
	unparsed := &pgconn.PgError{Code: "42601", Routine: "scanner_yyerror"}
	inside := &pgconn.PgError{Code: "42601", Routine: "scanner_yyerror", Where: "a function"}
	for _, c := range []struct {
		sql      string
		err      error
		prepared bool
		want     backend.Cleanup
	}{
		{"select 1", nil, false, backend.NoCleanup},
		{"set a = 1", nil, false, backend.Reset},
		{"listen a", nil, false, backend.Close},
		{"set a", unparsed, false, backend.NoCleanup},
		{"set a; listen b", unparsed, false, backend.Reset},
		{"set a = 1", inside, false, backend.Reset},
		{"set a = 1", inside, true, backend.NoCleanup},
		{"set a = 1", io.EOF, true, backend.Reset},
	} {
		f := backend.Note(held.Conn(), nil, backend.Sessions{Cleanup: classify}, nil)
		f.Sends(backend.Text{SQL: c.sql, Prepared: c.prepared})
		f.Answers(c.err, c.prepared)
		require.Equal(t, c.want, f.Cleanup(), "%s: %v", c.sql, c.err)
		f.Rewrites("listen a")
		require.Equal(t, backend.Close, f.Cleanup())
		f.Cleaned()
		require.Equal(t, backend.NoCleanup, f.Cleanup())
	}
}

func TestFactsOfAConnection(t *testing.T) {
	t.Parallel()
	held, err := testkit.OwnerPool(t, testkit.DB(t)).Acquire(t.Context())
	require.NoError(t, err)
	defer held.Release()
	var end backend.End
	reads, discarded := 0, 0
	f := backend.Note(held.Conn(), &end, backend.Sessions{Discarded: func(*pgx.Conn) { discarded++ }}, func() { reads++ })
	require.Same(t, f, backend.Of(held.Conn()))
	f.Reads()
	f.Discards()
	require.Equal(t, []int{1, 1}, []int{reads, discarded})

	for name, want := range map[string]bool{"mine": true, "": false, "select 1": false, "stmtcache_1": false, "onepool_1": false} {
		f.Prepares(name, "select 1")
		sql, ok := f.PreparedAs(name)
		require.Equal(t, want, ok, name)
		require.Equal(t, want, sql == "select 1", name)
	}
	f.Cleaned()
	_, ok := f.PreparedAs("mine")
	require.False(t, ok)

	f.UndoWith("set application_name = 'undone'")
	require.True(t, f.Undo(t.Context()))
	var name string
	require.NoError(t, held.QueryRow(t.Context(), "show application_name").Scan(&name))
	require.Equal(t, "undone", name)
	f.UndoWith("no statement")
	require.False(t, f.Undo(context.WithoutCancel(t.Context())))
	require.True(t, f.Undo(t.Context()), "once")

	require.NoError(t, f.BrokenBy())
	first := errors.New("first")
	end.Break(first)
	end.Break(io.EOF)
	require.Equal(t, first, f.BrokenBy())
	end.Hear(&pgconn.PgError{Code: "57P01"})
	require.Equal(t, "57P01", f.EndedBy())
}
