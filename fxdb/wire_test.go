package fxdb_test

import (
	"context"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	onwire "github.com/agentagency/onepool/internal/testing/wire"
	"github.com/agentagency/onepool/testkit"
)

// wire is a wire to a database of a test's own.
type wire struct {
	*onwire.Wire
	db *fxdb.DB // without the wire
}

// newWire lays a wire to a new database. change is for the URL's parameters.
func newWire(t testing.TB, delay time.Duration, change ...func(url.Values)) *wire {
	t.Helper()
	db := notesDB(t, testkit.Config(one))
	return layWire(t, delay, db, filepath.Join(db.Pool().Config().ConnConfig.Host, onwire.Socket), change...)
}

// layWire lays a wire to whatever leads to the database at a socket.
func layWire(t testing.TB, delay time.Duration, db *fxdb.DB, server string, change ...func(url.Values)) *wire {
	t.Helper()
	return &wire{onwire.Lay(t, delay, db.Pool().Config().ConnConfig, server, change...), db}
}

func (w *wire) cutAt(text string, delivered bool) { w.CutAt(text, delivered) }
func (w *wire) cutAlways(text string)             { w.CutAlways(text) }
func (w *wire) cutNow()                           { w.CutNow() }

func (w *wire) during(t testing.TB, fn func() error) int64 {
	t.Helper()
	return w.During(t, fn)
}

// open opens a pool at the wire's other end.
func (w *wire) open(t testing.TB, change ...func(*fxdb.Config)) *fxdb.DB {
	t.Helper()
	cfg := fxdb.Config{URL: w.URL, PoolMin: 1, PoolMax: 1}
	for _, c := range change {
		c(&cfg)
	}
	db, err := fxdb.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close(t.Context()) })
	return db
}

// noPings keeps the pool's pings of idle connections out of a count of flights: on a busy machine
// a test is idle for a second.
func noPings() fxdb.Option {
	return fxdb.WithConfigurePool(func(pc *pgxpool.Config) error {
		pc.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
		return nil
	})
}

// openToCount is open for a count of flights.
func (w *wire) openToCount(t testing.TB, opts ...fxdb.Option) *fxdb.DB {
	t.Helper()
	db, err := fxdb.Open(t.Context(), fxdb.Config{URL: w.URL, PoolMin: 1, PoolMax: 1}, append(opts, noPings())...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close(context.Background()) })
	return db
}
