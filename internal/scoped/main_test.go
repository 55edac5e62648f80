package scoped_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/agentagency/onepool/internal/scoped"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// The test kit's server connection lives as long as the process.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/agentagency/onepool/testkit.init.OnceValues[...].func1"),
		goleak.IgnoreTopFunction("github.com/jackc/pgx/v5/pgxpool.(*Pool).backgroundHealthCheck"),
		goleak.IgnoreAnyFunction("github.com/agentagency/onepool/fxdb/devdb.(*supervisor).watch"))
}

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// session is a connection without a pool, whose messages a test reads.
type session struct {
	*pgx.Conn
	engine *scoped.Engine
	line   *line
}

// line keeps the client's writes.
type line struct {
	net.Conn
	mu     sync.Mutex
	writes [][]byte
	loses  atomic.Bool // the server's next ReadyForQuery, and all that follows
	lost   atomic.Bool
}

// Read ends the line in place of the ReadyForQuery that the line loses: the server has run
// the statements.
func (l *line) Read(b []byte) (int, error) {
	if l.lost.Load() {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := l.Conn.Read(b)
	const readyForQuery = "Z\x00\x00\x00\x05I"
	if l.loses.Load() && bytes.HasSuffix(b[:n], []byte(readyForQuery)) {
		l.lost.Store(true)
		if n -= len(readyForQuery); n == 0 {
			err = io.ErrUnexpectedEOF
		}
	}
	return n, err
}

func (l *line) Write(b []byte) (int, error) {
	l.mu.Lock()
	l.writes = append(l.writes, append([]byte(nil), b...))
	l.mu.Unlock()
	return l.Conn.Write(b)
}

// connect opens a session on a database of the test's own, as a role that policies hold.
func connect(t *testing.T, mode pgx.QueryExecMode) *session {
	t.Helper()
	cc := testkit.DB(t).Pool().Config().ConnConfig
	cc.Tracer = nil
	s := &session{engine: &scoped.Engine{Tracer: multitracer.New(), Mode: mode, Capacity: 10}}
	dial := cc.DialFunc
	cc.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		s.line = &line{Conn: conn}
		return s.line, nil
	}
	cc.BuildContextWatcherHandler = scoped.NewWatcher(func() time.Duration { return time.Minute }, nil)
	var err error
	s.Conn, err = pgx.ConnectConfig(within(t), cc)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	s.line.writes = nil // of the startup
	return s
}

// sent returns the types of the messages of each write since the last call of sent: P Parse,
// D Describe, B Bind, E Execute, C Close, Q Query, S Sync.
func (s *session) sent() (writes []string) {
	s.line.mu.Lock()
	defer s.line.mu.Unlock()
	for _, b := range s.line.writes {
		var types []byte
		for len(b) >= 5 {
			types = append(types, b[0])
			b = b[1+binary.BigEndian.Uint32(b[1:]):]
		}
		writes = append(writes, string(types))
	}
	s.line.writes = nil
	return writes
}

// tenantOf returns the tenant that the session has left.
func (s *session) tenantOf(t *testing.T) (name string) {
	t.Helper()
	const ask = "select coalesce(current_setting('app.current_tenant', true), '')"
	require.NoError(t, s.QueryRow(within(t), ask, pgx.QueryExecModeExec).Scan(&name))
	return name
}

var acme = tenant.Identity{Tenant: "acme", User: "ann"}

// scopeOf returns a scope of a client without settings.
func scopeOf(id tenant.Identity) *scoped.Scope {
	s := &scoped.Scope{Identity: id}
	scoped.NewSettings(scoped.Options{}).Give(s, scoped.OfIdentity|scoped.OfClient)
	return s
}
