package rls_test

import (
	"context"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/tenant/rls"
)

// sharedFixture is one case's transaction in a database with the sound schema. The rollback
// takes back what the case has changed, roles and settings of the database included,
// so that a hundred cases share one database and one connection.
type sharedFixture struct {
	*testDatabase
	conn *pgx.Conn // of the administrator
	tx   pgx.Tx
}

// idleFixtures are the databases that no case uses. There are as many databases as cases
// that run at the same time.
var idleFixtures struct {
	sync.Mutex
	list []*sharedFixture
}

func newSharedFixture(t *testing.T) fixture {
	t.Helper()
	idle := &idleFixtures
	idle.Lock()
	var tr *sharedFixture
	if last := len(idle.list) - 1; last >= 0 {
		tr, idle.list = idle.list[last], idle.list[:last]
	}
	idle.Unlock()
	if tr == nil {
		tr = &sharedFixture{testDatabase: newDatabase(t, shop)}
		tr.conn = tr.dial(t, "postgres")
	}
	var err error
	tr.tx, err = tr.conn.Begin(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := tr.tx.Rollback(context.Background()); err != nil {
			_ = tr.conn.Close(context.Background())
			return // the next case takes another database
		}
		idle.Lock()
		idle.list = append(idle.list, tr)
		idle.Unlock()
	})
	return tr
}

func (tr *sharedFixture) exec(t *testing.T, ddl ...string) {
	t.Helper()
	for _, sql := range ddl {
		sql = tr.names.Replace("set local role $OWNER;\n" + sql + ";\nreset role")
		_, err := tr.tx.Exec(t.Context(), sql)
		require.NoError(t, err, sql)
	}
}

func (tr *sharedFixture) verify(t *testing.T, opts ...rls.VerifyOption) rls.Report {
	t.Helper()
	_, err := tr.tx.Exec(t.Context(), "set local session authorization "+tr.app)
	require.NoError(t, err)
	r, err := rls.Verify(t.Context(), tr.tx, opts...)
	require.NoError(t, err)
	_, err = tr.tx.Exec(t.Context(), "reset session authorization")
	require.NoError(t, err)
	return r
}
