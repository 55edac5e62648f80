package testkit

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/internal/testing/size"
)

// PostgreSQL 18 and later clone files.
func TestATemplatesFilesAreClonedIfTheServerCan(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	s, err := connectTo("")
	require.NoError(t, err)
	template, err := s.template(t.Context(), nil, nil)
	require.NoError(t, err)
	for _, reflinks := range []bool{true, false} {
		own := &server{admin: newAdmins(s.admin.config.Copy(), s.run), fast: s.fast, clonesFiles: s.clonesFiles}
		own.reflinks.Store(reflinks)
		name := s.ahead.newName()
		require.NoError(t, own.clone(t.Context(), name, template))
		require.NoError(t, own.admin.do(t.Context(), func(conn *pgx.Conn) error {
			var method string
			require.NoError(t, conn.QueryRow(t.Context(), "select coalesce(current_setting('file_copy_method', true), '')").Scan(&method))
			want := ""
			if s.clonesFiles {
				want = map[bool]string{true: "clone", false: "copy"}[reflinks]
			}
			require.Equal(t, want, method)
			require.Equal(t, conn.PgConn().ParameterStatus("server_version") >= "18", s.clonesFiles)
			return nil
		}))
		own.admin.close(t.Context())
		require.NoError(t, s.drop(t.Context(), name))
	}
}

func TestWithoutBinariesTheKitTakesTheContainer(t *testing.T) {
	t.Setenv(envURL, "")
	size.SkipShort(t)
	other, err := devdb.Start(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, other.Stop(context.Background())) }()
	container := func(context.Context) (string, error) { return other.URL(), nil }
	noBinaries := func(context.Context, ...devdb.Option) (*devdb.Server, error) {
		return nil, &devdb.NotFoundError{Tried: []string{"PATH: not found"}}
	}

	s, err := choose(noBinaries, container)
	require.NoError(t, err)
	defer s.admin.close(t.Context())
	require.NoError(t, s.admin.do(t.Context(), func(conn *pgx.Conn) error {
		require.Equal(t, other.URL(), conn.Config().ConnString())
		return nil
	}))

	_, err = choose(noBinaries, func(context.Context) (string, error) { return "", errors.New("no engine") })
	require.ErrorContains(t, err, "PATH: not found")
	require.ErrorContains(t, err, "no engine")

	_, err = choose(noBinaries, nil)
	require.ErrorContains(t, err, "testkit/container")

	// A folder that the user has named and that holds no server is an error, not a reason to
	// test on another server.
	wrong := func(context.Context, ...devdb.Option) (*devdb.Server, error) {
		return nil, errors.New("ONEPOOL_PG_BINDIR=/nowhere: has no initdb")
	}
	_, err = choose(wrong, container)
	require.ErrorContains(t, err, "ONEPOOL_PG_BINDIR")
}

func TestARoleAndADatabaseTakeTheirPlacesInAConnectionString(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ given, want string }{
		{"postgres://admin:pw@host:5433/postgres?sslmode=disable", "postgres://role:pw@host:5433/db?sslmode=disable"},
		{"postgres:///postgres?host=/run/pg&user=admin&dbname=other", "postgres://role@/db?host=%2Frun%2Fpg"},
		{"host=/run/pg user=admin dbname=postgres", "host=/run/pg user=admin dbname=postgres user=role dbname=db"},
	} {
		got := rewrite(c.given, "role", "db")
		require.Equal(t, c.want, got)
		config, err := pgconn.ParseConfig(got)
		require.NoError(t, err)
		require.Equal(t, "role", config.User)
		require.Equal(t, "db", config.Database)
	}
}

func TestAServerWithoutAConnectionLeftIsNamedWithItsLimit(t *testing.T) {
	t.Parallel()
	s := &server{limit: 200}
	refused := &pgconn.PgError{Code: tooManyConnections, Message: "sorry, too many clients already"}
	require.ErrorContains(t, s.crowded(refused), "max_connections is 200")
	require.Equal(t, errors.ErrUnsupported, s.crowded(errors.ErrUnsupported))
}
