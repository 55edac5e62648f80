package knowledge_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/clienttest"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules/knowledge"
	"github.com/agentagency/onepool/testkit"
)

// For an array that is a parameter, the planner of a generic plan expects ten elements.
func TestTheServerKeepsThePlansOfManyQueries(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := clienttest.OneConnection(t, "knowledge", knowledge.Migrations())
	c, err := knowledge.New(knowledge.Params{DB: db.Named("knowledge", fxdb.RequireTenant())})
	require.NoError(t, err)
	ctx := as(t, "acme")
	exec(t, ctx, db, `insert into knowledge.queries (id, query_text, query_type, requester_id) select 'q' || g, '', 'trend', 'r' from generate_series(1, 5000) g`)
	_, err = testkit.OwnerPool(t, db).Exec(t.Context(), "analyze")
	require.NoError(t, err)
	store := func(n int) func(int) error {
		return func(i int) error {
			results := make([]knowledge.SearchResult, n)
			for k := range results {
				results[k] = result(fmt.Sprint("q", 1+i+100*k), fmt.Sprint("content ", n, i))
			}
			stored, err := c.StoreResults(ctx, results)
			require.EqualValues(t, n, stored)
			return err
		}
	}
	clienttest.KeepsPlans(t, db, map[string]func(int) error{
		"StoreResults, a query":      store(1),
		"StoreResults, five queries": store(5),
		"StoreResponse": func(i int) error {
			_, err := c.StoreResponse(ctx, knowledge.Response{QueryID: fmt.Sprint("q", 1+i)})
			return err
		},
		"QueriesPage":       func(int) error { _, err := c.QueriesPage(ctx, knowledge.QueryFilter{}); return err },
		"SearchResultsPage": func(int) error { _, err := c.SearchResultsPage(ctx, "q1", 0, ""); return err },
	})
}
