package sqllex_test

import (
	"context"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/internal/sqllex"
	"github.com/agentagency/onepool/internal/testing/size"
)

// The shared server's connection lives as long as the process.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/agentagency/onepool/fxdb/devdb.(*supervisor).watch"))
}

// serverURL is that of a server's superuser: TEST_DATABASE_URL, or a throwaway one.
// PG_BINDIR chooses another version for the latter.
var serverURL = sync.OnceValues(func() (string, error) {
	if url := os.Getenv("TEST_DATABASE_URL"); url != "" {
		return url, nil
	}
	server, err := devdb.Start(context.Background(), devdb.Shared())
	if err != nil {
		return "", err
	}
	return server.URL(), nil
})

func connect(t testing.TB) *pgx.Conn {
	t.Helper()
	url, err := serverURL()
	require.NoError(t, err)
	config, err := pgx.ParseConfig(url)
	require.NoError(t, err)
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	conn, err := pgx.ConnectConfig(context.Background(), config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(context.Background())) })
	return conn
}

func namesOf(t testing.TB, conn *pgx.Conn, sql string, args ...any) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql, args...)
	require.NoError(t, err)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return names
}

// A function of a new version of PostgreSQL has to be classified: does it change its
// session, or run a text? Then it belongs in functions.go, and else in harmless_test.go.
func TestEveryBuiltInFunctionIsClassified(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	conn := connect(t)
	classified := make(map[string]string)
	for _, name := range knownHarmless {
		classified[name] = "harmless"
	}
	for _, name := range sqllex.Tainting() {
		require.Empty(t, classified[name], "%s is on both lists", name)
		classified[name] = "tainting"
	}
	// Triggers' and languages' functions, and those with an internal argument, are
	// called by the server alone. A function that changes anything is volatile, and
	// no worker of a parallel plan may run one that uses SPI.
	functions := namesOf(t, conn, `select distinct proname::text from pg_proc
		where pronamespace = 'pg_catalog'::regnamespace and (provolatile = 'v' or proparallel <> 's') and not 'internal'::regtype = any(proargtypes::oid[])
			and prorettype not in ('trigger'::regtype, 'event_trigger'::regtype, 'language_handler'::regtype)`)
	require.Greater(t, len(functions), 150)
	for _, name := range functions {
		if classified[name] == "" && !strings.HasPrefix(name, "pg_stat_get_") {
			t.Errorf("nobody has classified %s: does it change its session or run a text?", name)
		}
	}
}

// A tainting function must not be called but by its name in front of a parenthesis.
func TestNoTaintingFunctionHasAnotherName(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	conn := connect(t)
	require.Empty(t, namesOf(t, conn, `select p.proname || ' is behind ' || r.what from pg_proc p join (
		select oprcode::oid as oid, 'operator ' || oprname as what from pg_operator union all
		select castfunc, 'a cast' from pg_cast union all
		select unnest(array[typinput, typoutput, typreceive, typsend, typmodin, typmodout, typanalyze]::oid[]), 'type ' || typname from pg_type union all
		select unnest(array[aggtransfn, aggfinalfn, aggcombinefn]::oid[]), 'aggregate ' || aggfnoid from pg_aggregate union all
		select amproc::oid, 'an operator class' from pg_amproc union all
		select p2.oid, 'column notation' from pg_proc p2 where pronargs - pronargdefaults <= 1 and pronargs >= 1
			and (proargtypes[0] in ('record'::regtype, 'anyelement'::regtype, '"any"'::regtype, 'anycompatible'::regtype) or
				exists (select from pg_type t where t.oid = proargtypes[0] and typtype in ('c', 'd')))
	) r using (oid) where p.proname = any($1)`, sqllex.Tainting()))
	// A view with a rule is another door to a function.
	require.Equal(t, []string{"pg_settings"}, namesOf(t, conn, `select distinct ev_class::regclass::text from pg_rewrite
		where ev_type <> '1' and ev_class in (select oid from pg_class where relnamespace = 'pg_catalog'::regnamespace)`))
}
