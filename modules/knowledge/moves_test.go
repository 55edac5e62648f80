package knowledge_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/knowledge"
)

func TestAQueryThatHasEndedTakesNoLateResults(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	storeQuery(t, ctx, c, "q", "open")
	store := func(queries ...string) func() error {
		return func() error {
			results := make([]knowledge.SearchResult, len(queries))
			for i, q := range queries {
				results[i] = result(q, "text")
			}
			_, err := c.StoreResults(ctx, results)
			return err
		}
	}
	respond := func(opts ...knowledge.ResponseOption) func() error {
		return func() error {
			_, err := c.StoreResponse(ctx, knowledge.Response{QueryID: "q"}, opts...)
			return err
		}
	}
	const again = "set the query's status to processing first"
	for _, call := range []struct {
		name   string
		do     func() error
		closed map[knowledge.Status]string
	}{
		{"a result", store("q"), map[knowledge.Status]string{knowledge.Completed: "store a new query", knowledge.Failed: again}},
		{"results of two queries", store("open", "q"), map[knowledge.Status]string{knowledge.Completed: "store a new query", knowledge.Failed: again}},
		{"a response", respond(), map[knowledge.Status]string{knowledge.Failed: again}},
		{"a response that completes the query", respond(knowledge.CompleteQuery()), map[knowledge.Status]string{knowledge.Failed: again}},
	} {
		for _, status := range []knowledge.Status{knowledge.Pending, knowledge.Processing, knowledge.Completed, knowledge.Failed} {
			name := call.name + " of a query that is " + string(status)
			exec(t, ctx, db, "update knowledge.queries set status = '"+string(status)+"' where id = 'q'")
			exec(t, ctx, db, "delete from knowledge.search_results")
			exec(t, ctx, db, "delete from knowledge.responses")
			err := call.do()
			var stored int
			scan(t, ctx, db, "select (select count(*) from knowledge.search_results) + (select count(*) from knowledge.responses)", &stored)
			do, closed := call.closed[status]
			if !closed {
				require.NoError(t, err, name)
				require.Positive(t, stored, name)
				continue
			}
			require.ErrorIs(t, err, modules.ErrConflict, name)
			require.ErrorContains(t, err, "query is "+string(status)+": its status does not allow this: "+do)
			require.Zero(t, stored, name)
		}
	}
}

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
