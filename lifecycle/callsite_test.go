package lifecycle_test

import (
	"reflect"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

// TestACallSiteIsOutsideTheLayers acquires below more frames than the monitor keeps, as
// database/sql does.
func TestACallSiteIsOutsideTheLayers(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	layer := reflect.TypeFor[library]().PkgPath() + ".library"
	for name, c := range map[string]struct {
		layers []string
		want   string
	}{
		"a layer":  {[]string{layer}, "TestACallSiteIsOutsideTheLayers"},
		"no layer": {nil, "library.acquire"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, _ := startPool(t, func(cfg *lifecycle.Config) { cfg.Layers = c.layers })
			for _, frames := range []int{0, 1, 6, 7, 8, 9, 20, 40} {
				conn, err := library{t, m}.acquire(frames)
				require.NoError(t, err)
				holders := m.Holders()
				require.Len(t, holders, 1)
				require.Contains(t, holders[0].Caller, c.want, "%d frames", frames)
				conn.Release()
			}
		})
	}
}

// TestAGoStatementNamesTheCallerOfLayersAlone acquires in a goroutine without a frame of the
// program.
func TestAGoStatementNamesTheCallerOfLayersAlone(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	m, _ := startPool(t, func(cfg *lifecycle.Config) { cfg.Layers = []string{reflect.TypeFor[library]().PkgPath() + ".library"} })
	for _, frames := range []int{0, 5, 6, 7, 8, 20} {
		acquired := make(chan *pgxpool.Conn, 1)
		go library{t, m}.send(frames, acquired)
		conn := receive(t, acquired)
		holders := m.Holders()
		require.Len(t, holders, 1)
		require.Contains(t, holders[0].Caller, "TestAGoStatementNamesTheCallerOfLayersAlone", "%d frames", frames)
		conn.Release()
	}
}

type library struct {
	t *testing.T
	m *lifecycle.Monitor
}

// acquire acquires below the given number of further frames.
func (l library) acquire(frames int) (*pgxpool.Conn, error) {
	if frames > 0 {
		return l.acquire(frames - 1)
	}
	return l.m.Acquire(bounded(l.t), lifecycle.Request{Client: "library", Caller: true})
}

func (l library) send(frames int, to chan<- *pgxpool.Conn) {
	conn, _ := l.acquire(frames)
	to <- conn
}
