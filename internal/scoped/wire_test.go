package scoped_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/scoped"
)

const whoami = "select current_setting('app.current_tenant') || $1::text"

// scan sends a statement with a scope, and reads its row.
func (s *session) scan(ctx context.Context, sc *scoped.Scope, dest any, sql string, args ...any) error {
	var f scoped.Flight
	if err := f.Send(ctx, s.engine, s.Conn, sc, sql, args); err != nil {
		return err
	}
	return f.Scan([]any{dest})
}

// The messages are those that doc.go draws.
func TestAStatementAndItsScopeAreASingleWrite(t *testing.T) {
	t.Parallel()
	for mode, want := range map[pgx.QueryExecMode]struct{ first, then []string }{
		pgx.QueryExecModeCacheStatement: {[]string{"PDBDEPDS", "BEBES"}, []string{"BEBES"}},
		pgx.QueryExecModeCacheDescribe:  {[]string{"PBDEPDS", "PBDEPBDES"}, []string{"PBDEPBDES"}},
		pgx.QueryExecModeDescribeExec:   {[]string{"PBDEPDS", "PBDEPBDES"}, []string{"PBDEPDS", "PBDEPBDES"}},
		pgx.QueryExecModeExec:           {[]string{"PBDEPBDES"}, []string{"PBDEPBDES"}},
	} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			s := connect(t, mode)
			for _, messages := range [][]string{want.first, want.then, want.then} {
				var got string
				require.NoError(t, s.scan(within(t), scopeOf(acme), &got, whoami, "!"))
				require.Equal(t, "acme!", got)
				require.Equal(t, messages, s.sent())
			}
			require.Empty(t, s.tenantOf(t))
		})
	}
}

func TestWhatTravelsBesideAScope(t *testing.T) {
	t.Parallel()
	s := connect(t, pgx.QueryExecModeCacheStatement)
	ctx := within(t)
	exec := func(f scoped.Flight, sc *scoped.Scope, sql string, args ...any) error {
		if err := f.Send(ctx, s.engine, s.Conn, sc, sql, args); err != nil {
			return err
		}
		_, err := f.Run()
		return err
	}
	begin := func(sql string, args ...any) error {
		f := scoped.Flight{Exec: true}
		f.BeginWith("begin", nil)
		return exec(f, scopeOf(acme), sql, args...)
	}
	limited := func(sql string, args ...any) error {
		return exec(scoped.Flight{Exec: true, Limit: time.Now().Add(time.Minute)}, &scoped.Scope{}, sql, args...)
	}
	rollback := func() error { _, err := s.PgConn().Exec(ctx, "rollback").ReadAll(); return err }
	for _, c := range []struct {
		name string
		do   func() error
		want []string
	}{
		{"a text that could commit has a block around it", func() error { return exec(scoped.Flight{Exec: true}, scopeOf(acme), "do 'begin end'") }, []string{"PBDEPBDEPBDEPBDES"}},
		{"the first statement takes the BEGIN to its preparation", func() error { return begin(whoami, "x") }, []string{"PBDEPDBDEPDS", "BES"}},
		{"rollback", rollback, []string{"Q"}},
		{"a known statement follows the BEGIN", func() error { return begin(whoami, "x") }, []string{"PBDEBEBES"}},
		{"the deadline of a transaction's statement is new", func() error { return limited(whoami, "x") }, []string{"PDPDS", "BEBEBES"}},
		{"the deadline of a transaction's statement is known", func() error { return limited(whoami, "x") }, []string{"BEBEBES"}},
		{"rollback", rollback, []string{"Q"}},
	} {
		s.sent()
		require.NoError(t, c.do(), c.name)
		require.Equal(t, c.want, s.sent(), c.name)
	}
	require.Equal(t, byte('I'), s.PgConn().TxStatus())
	require.Empty(t, s.tenantOf(t))
}

// panicking is an argument that panics when pgx encodes the argument.
type panicking struct{}

func (panicking) TextValue() (pgtype.Text, error) { panic("no value") }

func TestAScopeEndsWithItsStatement(t *testing.T) {
	t.Parallel()
	s := connect(t, pgx.QueryExecModeCacheStatement)
	var got string
	soon := func() *scoped.Scope {
		sc := &scoped.Scope{Identity: acme, Deadline: time.Now().Add(20 * time.Millisecond)}
		scoped.NewSettings(scoped.Options{}).Give(sc, scoped.OfIdentity|scoped.OfDeadline)
		return sc
	}
	for name, do := range map[string]func() error{
		"an error of the server":   func() error { return s.scan(within(t), scopeOf(acme), &got, "select (1 / $1::int)::text", 0) },
		"an error of the parser":   func() error { return s.scan(within(t), scopeOf(acme), &got, "selec 1") },
		"a wrong number of values": func() error { return s.scan(within(t), scopeOf(acme), &got, whoami) },
		"a target that can't scan": func() error { return s.scan(within(t), scopeOf(acme), new(chan int), whoami, "x") },
		"a deadline":               func() error { return s.scan(within(t), soon(), &got, "select pg_sleep(60)::text") },
		"a refused text":           func() error { return s.scan(within(t), scopeOf(acme), &got, "commit") },
		"several statements":       func() error { return s.scan(within(t), scopeOf(acme), &got, "select 'a'; select 'b'") },
		"a commit inside a DO":     func() error { return s.scan(within(t), scopeOf(acme), &got, "do 'begin commit; end'") },
		"a panic of a parameter": func() (err error) {
			defer func() { err = errors.New(recover().(string)) }()
			return s.scan(within(t), scopeOf(acme), &got, whoami, panicking{})
		},
	} {
		require.Error(t, do(), name)
		require.False(t, s.IsClosed(), "%s: the connection lives", name)
		require.Equal(t, byte('I'), s.PgConn().TxStatus(), name)
		require.Empty(t, s.tenantOf(t), name)
	}
	err := s.scan(within(t), soon(), &got, "select pg_sleep(60)::text")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	var ended *pgconn.PgError
	require.ErrorAs(t, err, &ended, "the server ended the statement")
	require.Equal(t, "57014", ended.Code)
	require.NoError(t, s.scan(within(t), scopeOf(acme), &got, whoami, "x"), "the next statement works")
}

// lease counts its releases.
type lease struct {
	conn     *pgx.Conn
	released int
}

func (l *lease) Conn() *pgx.Conn { return l.conn }
func (l *lease) Release()        { l.released++ }

func TestABatchAndItsScopeAreASingleWrite(t *testing.T) {
	t.Parallel()
	s := connect(t, pgx.QueryExecModeCacheStatement)
	for _, want := range [][]string{{"PDBDEPDPDS", "BEBEBES"}, {"BEBEBES"}} {
		s.sent()
		b, l := &pgx.Batch{}, &lease{conn: s.Conn}
		var first, second string
		b.Queue(whoami, "1").QueryRow(func(row pgx.Row) error { return row.Scan(&first) })
		b.Queue(whoami+" || 'nd'", "2").QueryRow(func(row pgx.Row) error { return row.Scan(&second) })
		r := s.engine.SendBatch(within(t), l, scopeOf(acme), b)
		require.Zero(t, l.released)
		require.NoError(t, r.Close())
		require.NoError(t, r.Close(), "a second Close does nothing")
		require.Equal(t, 1, l.released)
		require.Equal(t, []string{"acme1", "acme2nd"}, []string{first, second})
		require.Equal(t, want, s.sent())
	}
	b, l := &pgx.Batch{}, &lease{conn: s.Conn}
	b.Queue("select 1")
	b.Queue("commit")
	require.ErrorAs(t, s.engine.SendBatch(within(t), l, scopeOf(acme), b).Close(), new(*scoped.Error))
	require.Equal(t, 1, l.released)
	require.Empty(t, s.tenantOf(t))
}

func TestRowsOfACopyAndTheirScopeAreASingleWrite(t *testing.T) {
	t.Parallel()
	s := connect(t, pgx.QueryExecModeCacheStatement)
	ctx := within(t)
	_, err := s.Exec(ctx, "create temporary table items (tenant text default current_setting('app.current_tenant'), n int, name text)")
	require.NoError(t, err)
	for _, want := range [][]string{{"PDBDEPDS", "BEPDBDES"}, {"BEBDES"}} {
		s.sent()
		a, err := s.engine.Arrays(ctx, s.Conn, scopeOf(acme), "select n, name from items limit 0")
		require.NoError(t, err)
		require.True(t, a.Usable)
		a.SQL = "insert into items (n, name) select * from unnest($1, $2)"
		for n := range 3 {
			require.True(t, a.Add([]any{n, "x"}))
		}
		require.False(t, a.Add([]any{make(chan int), "x"}), "a value without a binary form")
		require.True(t, a.Add([]any{nil, nil}))
		require.Equal(t, 4, a.Rows())
		require.NoError(t, a.Send(ctx, s.Conn, scopeOf(acme)))
		require.Zero(t, a.Rows())
		require.Equal(t, want, s.sent())
	}
	var all, numbers int
	require.NoError(t, s.QueryRow(ctx, "select count(*), count(n) from items where tenant = 'acme'").Scan(&all, &numbers))
	require.Equal(t, []int{8, 6}, []int{all, numbers})
	require.Empty(t, s.tenantOf(t))
}

// The server keeps no more prepared statements than the capacity, and the scope stays.
func TestTheLeastUsedStatementMakesRoom(t *testing.T) {
	t.Parallel()
	s := connect(t, pgx.QueryExecModeCacheStatement)
	s.engine.Capacity = 3
	for n := range 10 {
		var got int
		require.NoError(t, s.scan(within(t), scopeOf(acme), &got, "select $1::int + "+string(rune('0'+n)), 1))
		require.Equal(t, 1+n, got)
		require.LessOrEqual(t, scoped.Prepared(s.Conn, s.engine), 3)
	}
	var named int
	var scopes []string
	require.NoError(t, s.QueryRow(within(t), "select count(*), array_agg(name) filter (where statement like '%app.current_tenant%') from pg_prepared_statements where name like 'onepool%'", pgx.QueryExecModeExec).Scan(&named, &scopes))
	require.Equal(t, []string{"onepool_1"}, scopes, "prepared once")
	require.LessOrEqual(t, named, 4, "the one that goes away leaves with the next preparation")
	scoped.Forget(s.Conn)
	require.Zero(t, scoped.Prepared(s.Conn, s.engine))
}
