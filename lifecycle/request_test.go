package lifecycle_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

// A library acquires for somebody else, who is the one to be named.
func TestSkipNamesWhoeverTheLibraryAcquiresFor(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	m, _ := startPool(t, nil)
	callerOf := func(acquire func(skip int) (*pgxpool.Conn, error), skip int) string {
		conn, err := acquire(skip)
		require.NoError(t, err)
		defer conn.Release()
		holders := m.Holders()
		require.Len(t, holders, 1)
		return holders[0].Caller
	}
	library := library{t, m}
	require.Contains(t, callerOf(library.acquire, 0), "library.acquire")
	require.Contains(t, callerOf(library.outer, 0), "library.acquire")
	require.Contains(t, callerOf(library.outer, 1), "library.outer")
	require.Contains(t, callerOf(library.outer, 2), "TestSkipNamesWhoeverTheLibraryAcquiresFor")
	require.Empty(t, callerOf(library.outer, 1000), "nobody is left")
}

type library struct {
	t *testing.T
	m *lifecycle.Monitor
}

func (l library) acquire(skip int) (*pgxpool.Conn, error) {
	return l.m.Acquire(bounded(l.t), lifecycle.Request{Client: "library", Caller: true, CallerSkip: skip})
}

func (l library) outer(skip int) (*pgxpool.Conn, error) { return l.acquire(skip) }
