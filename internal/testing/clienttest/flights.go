package clienttest

import (
	"io/fs"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/wire"
	"github.com/agentagency/onepool/testkit"
)

// Wired returns a client's handle, named after source, and the wire between the handle's pool and
// the server. The pool has a single connection, to a database of the test's own.
func Wired(t testing.TB, source string, migrations fs.FS, opts ...testkit.Option) (*fxdb.DB, *wire.Wire) {
	t.Helper()
	direct := testkit.DB(t, append(opts, testkit.Migrations(source, migrations))...)
	cc := direct.Pool().Config().ConnConfig
	w := wire.Lay(t, 0, cc, filepath.Join(cc.Host, wire.Socket))
	db, err := fxdb.Open(t.Context(), fxdb.Config{URL: w.URL, PoolMin: 1, PoolMax: 1})
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close(t.Context()) })
	return db.Named(source, fxdb.RequireTenant()), w
}

// Flights fails unless each call, with the statements prepared, takes a single round trip for the
// tenant's scope, the statements and the transaction's end. others holds the exceptions: the
// number of round trips by call. calls has every exported method of the client by name, and
// "name: how" for each other way to call the method. i is a new number in each call.
func Flights(t *testing.T, w *wire.Wire, client any, calls map[string]func(i int) error, others map[string]int64) {
	t.Helper()
	for m := range reflect.TypeOf(client).Methods() {
		require.Contains(t, calls, m.Name, "call the new method here")
	}
	for name, call := range calls {
		method, _, _ := strings.Cut(name, ":")
		require.True(t, reflect.ValueOf(client).MethodByName(method).IsValid(), "no method %s", method)
		for i := range 2 {
			require.NoError(t, call(i), name)
		}
		flights := w.During(t, func() error { return call(2) })
		want, ok := others[name]
		if !ok {
			want = 1
		}
		require.Equal(t, want, flights, "round trips of %s", name)
	}
}
