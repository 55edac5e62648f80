package backend_test

import (
	"bytes"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/backend"
	"github.com/agentagency/onepool/testkit"
)

// encode returns messages as pgx writes messages.
func encode(t *testing.T, messages ...pgproto3.FrontendMessage) (b []byte) {
	t.Helper()
	for _, m := range messages {
		var err error
		b, err = m.Encode(b)
		require.NoError(t, err)
	}
	return b
}

func TestACheckTravelsAfterAStatementOnly(t *testing.T) {
	t.Parallel()
	held, err := testkit.OwnerPool(t, testkit.DB(t)).Acquire(t.Context())
	require.NoError(t, err)
	defer held.Release()
	var socket bytes.Buffer
	mark := []byte("what the session keeps")
	for _, c := range []struct {
		name    string
		write   []byte
		travels bool
	}{
		{"a query", encode(t, &pgproto3.Query{String: "commit"}), true},
		{"a statement", encode(t, &pgproto3.Bind{}, &pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Execute{}, &pgproto3.Sync{}), true},
		{"a preparation", encode(t, &pgproto3.Parse{Query: "select 1"}, &pgproto3.Describe{ObjectType: 'S'}, &pgproto3.Sync{}), false},
		{"forgotten statements", encode(t, &pgproto3.Close{ObjectType: 'S', Name: "mine"}, &pgproto3.Sync{}), false},
		{"a statement whose Sync follows later", encode(t, &pgproto3.Bind{}, &pgproto3.Execute{}), false},
		{"a large statement", encode(t, &pgproto3.Bind{Parameters: [][]byte{make([]byte, 1<<20)}}, &pgproto3.Execute{}, &pgproto3.Sync{}), true},
		{"rows of a copy that end as a statement ends", encode(t, &pgproto3.CopyData{Data: encode(t, &pgproto3.Execute{}, &pgproto3.Sync{})}), false},
		{"a parameter that ends as a statement ends", encode(t, &pgproto3.Bind{Parameters: [][]byte{encode(t, &pgproto3.Execute{}, &pgproto3.Sync{})}}), false},
		{"a part of a message", encode(t, &pgproto3.Query{String: "commit"})[:4], false},
		{"a goodbye", encode(t, &pgproto3.Terminate{}), false},
		{"nothing", nil, false},
	} {
		tail, f := &backend.Tail{}, backend.Note(held.Conn(), nil, backend.Sessions{Check: backend.NewSessionCheck("app.current_tenant")}, nil)
		write := func(b []byte) error {
			socket.Reset()
			n, err := tail.WriteTo(&socket, b)
			require.True(t, err != nil || n == len(b), c.name)
			return err
		}
		require.NoError(t, write(c.write))
		require.NotContains(t, socket.String(), string(mark), "%s: no pool has asked", c.name)

		f.ChecksThrough(tail)
		f.AppendCheck()
		f.DropCheck()
		require.NoError(t, write(c.write))
		require.False(t, f.CheckIsDue(), "%s: taken back", c.name)

		f.AppendCheck()
		require.NoError(t, write(c.write))
		require.Equal(t, c.travels, bytes.Contains(socket.Bytes(), mark), c.name)
		require.True(t, bytes.HasPrefix(socket.Bytes(), c.write), c.name)
		require.Equal(t, c.travels, f.CheckIsDue(), c.name)
		if c.travels {
			require.ErrorContains(t, write(c.write), "was not read", "the answer would be taken for another's")
			require.NoError(t, write(encode(t, &pgproto3.Terminate{})))
		}

		require.Less(t, tail.Memory(), 100<<10, c.name)
		tainted := backend.Note(held.Conn(), nil, backend.Sessions{Check: backend.NewSessionCheck(), Cleanup: func(*pgx.Conn, backend.Text) (backend.Cleanup, bool) { return backend.Close, true }}, nil)
		tainted.ChecksThrough(tail)
		tainted.Sends(backend.Text{SQL: "listen jobs"})
		tainted.AppendCheck()
		require.NoError(t, write(c.write))
		require.False(t, tainted.CheckIsDue(), "%s: the pool closes the connection anyway", c.name)
	}
}
