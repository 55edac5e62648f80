package backend_test

import (
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/backend"
	"github.com/agentagency/onepool/testkit"
)

// The server takes a name that it does not know for an unset setting.
func TestACheckReadsSettingsOfTheServer(t *testing.T) {
	t.Parallel()
	pool := testkit.OwnerPool(t, testkit.DB(t))
	rows, err := pool.Query(t.Context(), "select n from unnest($1::text[]) n where n not in (select name from pg_settings)", backend.CheckedSettings)
	require.NoError(t, err)
	unknown, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	unknown = slices.DeleteFunc(unknown, func(name string) bool {
		return name == "role" || // pg_settings hides the role
			name == "transaction_timeout" || name == "restrict_nonsystem_relation_kind" // of newer servers
	})
	require.Empty(t, unknown)
}

// checkedSession returns the facts of a connection that checks the session with each statement.
func checkedSession(t *testing.T) (*pgx.Conn, *backend.Facts) {
	t.Helper()
	held, err := testkit.OwnerPool(t, testkit.DB(t)).Acquire(t.Context())
	require.NoError(t, err)
	t.Cleanup(held.Release)
	conn := held.Conn()
	return conn, backend.Note(conn, nil, backend.Sessions{Check: backend.NewSessionCheck("app.current_tenant"), Cleanup: classify}, nil)
}

func TestTheWaitForACheckBeginsAtTheEndOfTheStatement(t *testing.T) {
	t.Parallel()
	_, f := checkedSession(t)
	require.NoError(t, f.Meet(t.Context()))
	require.NoError(t, f.SendCheck())
	f.Age(time.Hour) // the check travelled with a statement of an hour
	require.False(t, f.AnswerMayCome())
	require.NoError(t, f.SendCheck())
	require.True(t, f.AnswerMayCome())
	left, err := f.Left(t.Context())
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestASessionInATransactionIsNotMet(t *testing.T) {
	t.Parallel()
	conn, f := checkedSession(t)
	_, err := conn.Exec(t.Context(), "begin")
	require.NoError(t, err)
	require.ErrorContains(t, f.Meet(t.Context()), "transaction open")
}

func TestASessionIsMetAgainWithNewObjectsAndTheSameSettings(t *testing.T) {
	t.Parallel()
	conn, f := checkedSession(t)
	const hook = "create temp table own (n int); prepare own as select 1"
	again := func(sql string) error {
		_, err := conn.Exec(t.Context(), sql)
		require.NoError(t, err)
		f.Cleaned()
		return f.MeetAgain(t.Context())
	}
	_, err := conn.Exec(t.Context(), hook)
	require.NoError(t, err)
	require.NoError(t, f.Meet(t.Context()))
	require.NoError(t, again("drop table own; deallocate own; "+hook))
	require.NoError(t, f.SendCheck())
	left, err := f.Left(t.Context())
	require.NoError(t, err)
	require.Empty(t, left)
	require.Error(t, again("set work_mem = '3MB'"))
}
