package lifecycle

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
)

// slowContext is a context whose end its children learn of by a goroutine. Those of
// the standard library's run one after the other, which shows the same more
// rarely.
type slowContext struct {
	context.Context
	done chan struct{}
}

func (c slowContext) Done() <-chan struct{} { return c.done }

func (c slowContext) Err() error {
	select {
	case <-c.done:
		return context.Canceled
	default:
		return nil
	}
}

// puddle gives Err to its caller as soon as Done is closed; pgxpool takes nil for a
// connection, and panics.
func TestAnAcquireThatIsDoneHasAnError(t *testing.T) {
	t.Parallel()
	pc, err := pgxpool.ParseConfig("postgres://nobody@127.0.0.1:1/none")
	require.NoError(t, err)
	m, err := New(Config{Pool: pc})
	require.NoError(t, err)
	defer func() { _, _ = Drain(context.Background(), m, 0) }()
	for _, waits := range []bool{false, true} { // for a connection
		for range 1000 {
			ctx := slowContext{context.Background(), make(chan struct{})}
			a := &acquisition{Context: ctx, m: m}
			if waits {
				a.Done()
				a.Done()
			}
			close(ctx.done)
			<-a.Done()
			require.ErrorIs(t, a.Err(), context.Canceled)
			a.end()
		}
	}
}
