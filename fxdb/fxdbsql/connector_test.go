package fxdbsql_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb/fxdbsql"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// counting wraps a connector, as a tracer of database/sql does.
type counting struct {
	driver.Connector
	connects atomic.Int64
}

func (c *counting) Connect(ctx context.Context) (driver.Conn, error) {
	c.connects.Add(1)
	return c.Connector.Connect(ctx)
}

func TestALibraryMayWrapTheConnector(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := testkit.DB(t)
	wrapped := &counting{Connector: fxdbsql.Connector(db)}
	own := sql.OpenDB(wrapped)
	defer own.Close()
	ctx := tenant.NewContext(t.Context(), tenant.Identity{Tenant: "acme"})
	var who string
	require.NoError(t, own.QueryRowContext(ctx, "select current_setting('app.current_tenant')").Scan(&who))
	require.Equal(t, "acme", who)
	require.Positive(t, wrapped.connects.Load())
	require.Zero(t, db.Stats().Active)
}
