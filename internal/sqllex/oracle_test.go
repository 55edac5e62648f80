package sqllex_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/sqllex"
	"github.com/agentagency/onepool/internal/testing/randsql"
	"github.com/agentagency/onepool/internal/testing/size"
)

// sessionState is what a session has that a next user of its connection would find.
// currval and lastval are left out, which every serial column moves.
const sessionState = `select concat_ws(E'\n', current_user, session_user, current_setting('role'), coalesce(current_setting('app.current_tenant', true), ''),
	md5(string_agg(name || '=' || setting || source, ' ' order by name) filter (where name not like 'transaction\_%')),
	string_agg(name || '=' || setting, ' ' order by name) filter (where source = 'session' and name not like 'transaction\_%'),
	(select string_agg(relname, ' ' order by relname) from pg_class where relnamespace = pg_my_temp_schema()),
	(select string_agg(proname, ' ' order by proname) from pg_proc where pronamespace = pg_my_temp_schema()),
	(select string_agg(typname, ' ' order by typname) from pg_type where typnamespace = pg_my_temp_schema()),
	(select string_agg(name, ' ' order by name) from pg_prepared_statements), (select string_agg(name || is_holdable, ' ' order by name) from pg_cursors),
	(select string_agg(mode || classid || objid, ' ') from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()),
	(select string_agg(c, ' ') from pg_listening_channels() c)) from pg_settings`

// transactionState is what a scope sets for its transaction, and which transaction it is.
const transactionState = `select concat_ws(E'\n', extract(epoch from now()), current_user, session_user, current_setting('app.current_tenant', true), current_setting('row_security'),
	current_setting('standard_conforming_strings'), current_setting('backslash_quote'), current_setting('client_encoding'))`

// oracle runs texts on a server and compares their session before and after with
// their effects.
type oracle struct {
	t     testing.TB
	conn  *pgx.Conn
	clean string
	ran   map[string]int
}

func newOracle(t testing.TB) *oracle {
	admin := connect(t)
	name := "sqllex_" + strconv.FormatUint(rand.Uint64(), 36)
	exec := func(sql string) { _, err := admin.Exec(context.Background(), sql); require.NoError(t, err) }
	exec("create database " + name)
	t.Cleanup(func() { exec("drop database " + name + " with (force)") })
	config := admin.Config()
	config.Database = name
	config.RuntimeParams["statement_timeout"] = "10000"
	conn, err := pgx.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(context.Background())) })
	_, err = conn.Exec(t.Context(), randsql.Schema)
	require.NoError(t, err)
	o := &oracle{t: t, conn: conn, ran: make(map[string]int)}
	_, err = conn.Exec(t.Context(), "discard all")
	require.NoError(t, err)
	o.clean = o.last(sessionState)
	return o
}

// ways are how a text is run: alone, or in a transaction that ends so.
var ways = []string{"", "rollback", "commit"}

// check runs the text in one way. It returns what is wrong with the effects on it.
func (o *oracle) check(sql, way string) (wrong string) {
	effects := sqllex.Classify(sql)
	var before, after string
	if way != "" {
		before = o.last("begin; set local app.current_tenant = 'globex'; " + transactionState)
	}
	results, err := o.conn.PgConn().Exec(o.t.Context(), sql).ReadAll()
	var refused *pgconn.PgError
	switch {
	case err != nil && !errors.As(err, &refused):
		o.t.Fatalf("%q: %v", sql, err)
	case err == nil && countOf(results) != effects.Statements:
		return fmt.Sprintf("the server ran %d statements, not %d", countOf(results), effects.Statements)
	case refused != nil && refused.Routine == "PreventInTransactionBlock" && way != "" && !effects.Alone:
		return "the server refuses it in a transaction: " + refused.Message
	}
	switch status := o.conn.PgConn().TxStatus(); {
	case way == "" && status == 'I':
		after = o.last(sessionState)
	case way == "": // its connection would be closed
		after = o.last("rollback; " + sessionState)
	case status == 'I' && !effects.EndsScope:
		return "it ended the transaction"
	case status == 'T':
		if wrong := compareTransactions(effects, before, o.last(transactionState)); wrong != "" {
			return wrong
		}
		fallthrough
	default:
		// A COMMIT runs the query of a cursor WITH HOLD, and may fail.
		if _, failed := o.conn.PgConn().Exec(o.t.Context(), way).ReadAll(); failed != nil && !errors.As(failed, &refused) {
			o.t.Fatalf("%q: %v", sql, failed)
		}
		after = o.last(sessionState)
	}
	outcome := "done"
	if err != nil {
		outcome = "failed"
	}
	plain, changed := effects.Plain(), after != o.clean
	switch {
	case plain && changed:
		return "it is classified plain and leaves:\n" + after + "\nafter:\n" + o.clean
	case plain:
		o.ran["plain, "+outcome]++
		return ""
	case changed:
		o.ran["tainted, left something"]++
	default:
		o.ran["tainted, "+outcome]++
	}
	o.clear(changed)
	return ""
}

// countOf leaves out an empty text's result.
func countOf(results []*pgconn.Result) (n int) {
	for _, r := range results {
		if r.CommandTag.String() != "" {
			n++
		}
	}
	return n
}

// compareTransactions compares a transaction before and after with the effects.
func compareTransactions(effects sqllex.Effects, before, after string) string {
	if effects.EndsScope {
		return ""
	}
	if began, _, _ := strings.Cut(after, "\n"); !strings.HasPrefix(before, began) {
		return "it began another transaction"
	}
	if effects.Plain() && !effects.SetsGuarded && after != before {
		return "it made the transaction another:\n" + after + "\nafter:\n" + before
	}
	return ""
}

// last runs a text of several statements and returns what the last one says.
func (o *oracle) last(sql string) string {
	results, err := o.conn.PgConn().Exec(o.t.Context(), sql).ReadAll()
	require.NoError(o.t, err)
	return string(results[len(results)-1].Rows[0][0])
}

// clear undoes what a tainted text left, in its session and beside.
func (o *oracle) clear(changed bool) {
	for _, sql := range []string{
		"reset session authorization", "discard all",
		`do $$ declare drop text; begin
			for drop in select format('drop %s %s cascade', case relkind when 'v' then 'view' else 'table' end, oid::regclass) from pg_class where relname = 'made' and relkind in ('r', 'v')
				union all select format('drop routine %s', oid::regprocedure) from pg_proc where proname = 'made'
			loop execute drop; end loop; end $$`,
	} {
		_, err := o.conn.PgConn().Exec(o.t.Context(), sql).ReadAll()
		require.NoError(o.t, err)
	}
	if changed {
		require.Equal(o.t, o.clean, o.last(sessionState), "DISCARD ALL")
	}
}

func TestNothingThatIsPlainChangesItsSession(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	o := newOracle(t)
	for _, sql := range plainTexts {
		if strings.Contains(strings.ToLower(sql), "stdin") || strings.Contains(sql, "prepare transaction") {
			continue
		}
		for _, way := range ways {
			require.Empty(t, o.check(sql, way), "%q %s", sql, way)
		}
	}
}

// TestRandomTextsLeaveNoMoreThanTheirEffectsSay takes ONEPOOL_SEED's first text, if
// the variable is set, and one of the clock's else.
func TestRandomTextsLeaveNoMoreThanTheirEffectsSay(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	o := newOracle(t)
	seed := uint64(time.Now().UnixNano())
	if given := os.Getenv("ONEPOOL_SEED"); given != "" {
		var err error
		seed, err = strconv.ParseUint(given, 10, 64)
		require.NoError(t, err)
	}
	until := time.Now().Add(size.Of(2*time.Second, 4*time.Second, 20*time.Second))
	if d, err := time.ParseDuration(os.Getenv("ONEPOOL_ORACLE")); err == nil { // a longer search, by hand
		until = time.Now().Add(d)
	}
	n := 0
	for ; time.Now().Before(until); n++ {
		sql := randsql.New(seed + uint64(n)).Next()
		for _, way := range ways {
			if wrong := o.check(sql, way); wrong != "" {
				t.Fatalf("seed %d, %q: %s\n%q\n%v", seed+uint64(n), way, wrong, sql, sqllex.Classify(sql))
			}
		}
	}
	t.Logf("%d texts: %v", n, o.ran)
	require.NotZero(t, o.ran["plain, done"])
	require.NotZero(t, o.ran["tainted, left something"], "the search finds nothing that it looks for")
}
