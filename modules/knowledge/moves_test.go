package knowledge_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/knowledge"
)

// A status call and a response go by one table.
func TestAQueryMovesAsItMay(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	storeQuery(t, ctx, c, "q")
	all := []knowledge.Status{knowledge.Pending, knowledge.Processing, knowledge.Completed, knowledge.Failed}
	refused := map[string]bool{"completed to pending": true, "completed to processing": true, "completed to failed": true, "failed to completed": true}
	state := func() (status string, ended bool) {
		scan(t, ctx, db, "select status, processed_at is not null from knowledge.queries", &status, &ended)
		return status, ended
	}
	for _, from := range all {
		for _, to := range all {
			ways := map[string]func() error{"status": func() error { return c.SetQueryStatus(ctx, "q", to, "") }}
			if to == knowledge.Completed {
				ways["response"] = func() error {
					_, err := c.StoreResponse(ctx, knowledge.Response{QueryID: "q"}, knowledge.CompleteQuery())
					return err
				}
			}
			for way, move := range ways {
				name := string(from+" to "+to) + " by " + way
				exec(t, ctx, db, "update knowledge.queries set processed_at = now() - interval '1 day', status = '"+string(from)+"'")
				exec(t, ctx, db, "delete from knowledge.responses")
				err := move()
				status, ended := state()
				var responses int
				scan(t, ctx, db, "select count(*) from knowledge.responses", &responses)
				if refused[string(from+" to "+to)] {
					require.ErrorIs(t, err, modules.ErrConflict, name)
					require.ErrorContains(t, err, "query is "+string(from))
					require.Equal(t, string(from), status)
					require.Zero(t, responses)
					continue
				}
				require.NoError(t, err, name)
				require.Equal(t, string(to), status, name)
				require.Equal(t, to == knowledge.Completed || to == knowledge.Failed, ended, name)
			}
		}
	}
}
