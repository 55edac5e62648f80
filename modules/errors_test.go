package modules_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

var errElse = errors.New("something else")

func TestClassifyFindsTheClassAndKeepsTheCause(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]error{
		"08006": modules.ErrUnavailable, "08P01": modules.ErrUnavailable, "53300": modules.ErrUnavailable,
		"57P01": modules.ErrUnavailable, "57P02": modules.ErrUnavailable, "57P03": modules.ErrUnavailable,
		"57014": modules.ErrTimeout, "55P03": modules.ErrTimeout,
		"23505": modules.ErrConflict, "23503": modules.ErrReference,
		"23514": modules.ErrInvalid, "23502": modules.ErrInvalid, "22001": modules.ErrInvalid, "22003": modules.ErrInvalid, "22P02": modules.ErrInvalid,
		"54000": modules.ErrInvalid, "54001": modules.ErrInvalid, "25006": modules.ErrUnavailable,
		"40001": modules.ErrUnavailable, "40P01": modules.ErrUnavailable,
		"42501": modules.ErrForbidden,
		"22007": modules.ErrInvalid, "22008": modules.ErrInvalid, "22021": modules.ErrInvalid, "22P05": modules.ErrInvalid,
		"53100": modules.ErrUnavailable, "53200": modules.ErrUnavailable, "57P04": modules.ErrUnavailable, "57P05": modules.ErrUnavailable,
		"25P03": modules.ErrTimeout, "25P04": modules.ErrTimeout,
		"42P01": modules.ErrSchema, "42703": modules.ErrSchema, "3F000": modules.ErrSchema,
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			err := modules.Classify(fmt.Errorf("query: %w", &pgconn.PgError{
				Code: code, Message: "value secret-value is bad", Detail: "Key (id)=(secret-value)", ConstraintName: "some_key",
			}))
			require.ErrorIs(t, err, want)
			var pgErr *pgconn.PgError
			require.ErrorAs(t, err, &pgErr)
			require.ErrorContains(t, err, code)
			require.ErrorContains(t, err, "some_key")
			require.NotContains(t, err.Error(), "secret-value")
			require.Same(t, err, modules.Classify(err), "classified twice")
		})
	}
	for _, c := range []struct {
		name      string
		err, want error
	}{
		{"no row", pgx.ErrNoRows, modules.ErrNotFound},
		{"a deadline", context.DeadlineExceeded, modules.ErrTimeout},
		{"a dial", &net.OpError{Op: "dial", Err: errors.New("refused")}, modules.ErrUnavailable},
		{"no tenant", fxdb.ErrTenantRequired, fxdb.ErrTenantRequired},
		{"a drain", fxdb.ErrDraining, fxdb.ErrDraining},
		{"not started", fxdb.ErrNotStarted, fxdb.ErrNotStarted},
		{"a full pool", &fxdb.AcquireError{Err: fxdb.ErrAcquireTimeout}, fxdb.ErrAcquireTimeout},
		{"a bad identity", tenant.Identity{}.Validate(), tenant.ErrInvalid},
		{"the caller's cancel", context.Canceled, context.Canceled},
		{"a connection that can't be opened", &pgconn.ConnectError{}, modules.ErrUnavailable},
		{"a connection that broke", fmt.Errorf("receive: %w", io.ErrUnexpectedEOF), modules.ErrUnavailable},
		{"a full pool at the caller's deadline", &fxdb.AcquireError{Err: context.DeadlineExceeded}, modules.ErrTimeout},
		{"a full queue", &fxdb.AcquireError{Err: fxdb.ErrQueueFull}, fxdb.ErrQueueFull},
		{"a wait for a server that is away", &fxdb.AcquireError{Err: fxdb.ErrAcquireTimeout, Connect: &pgconn.ConnectError{}}, modules.ErrUnavailable},
		{"the same, as a full pool", &fxdb.AcquireError{Err: fxdb.ErrAcquireTimeout, Connect: &pgconn.ConnectError{}}, fxdb.ErrAcquireTimeout},
		{"a caller who left while the server is away", &fxdb.AcquireError{Err: context.Canceled, Connect: &pgconn.ConnectError{}}, context.Canceled},
		{"a class", &modules.FieldError{Field: "id", Must: "must not be blank"}, modules.ErrInvalid},
		{"something else", errElse, errElse},
	} {
		require.ErrorIs(t, modules.Classify(c.err), c.want, c.name)
		require.ErrorIs(t, modules.Classify(c.err), c.err, c.name)
	}
	require.NoError(t, modules.Classify(nil))
	require.NotErrorIs(t, modules.Classify(&fxdb.AcquireError{Err: context.Canceled, Connect: &pgconn.ConnectError{}}), modules.ErrUnavailable)
	busy := modules.Classify(&fxdb.AcquireError{Client: "registry", Err: context.DeadlineExceeded})
	require.ErrorContains(t, busy, `client "registry"`, "who waited is lost")
	other := modules.Classify(&pgconn.PgError{Code: "42601", Message: "secret-value"})
	require.NotContains(t, other.Error(), "secret-value")
	require.ErrorContains(t, other, "42601")
}

func TestClassifyWhatARealServerDoes(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := testkit.DB(t)
	cc := db.Pool().Config().ConnConfig
	cc.Database = "nowhere"
	_, err := pgx.ConnectConfig(t.Context(), cc)
	refused := modules.Classify(fmt.Errorf("acquire: %w", err))
	require.ErrorIs(t, refused, modules.ErrUnavailable)
	require.ErrorContains(t, refused, "3D000")

	_, err = db.Exec(t.Context(), "select 'secret-value'::int")
	require.ErrorContains(t, err, "secret-value", "the server repeats the value")
	invalid := modules.Classify(err)
	require.ErrorIs(t, invalid, modules.ErrInvalid)
	require.NotContains(t, invalid.Error(), "secret-value")

	_, err = db.Exec(t.Context(), "select pg_terminate_backend(pg_backend_pid())")
	require.ErrorIs(t, modules.Classify(err), modules.ErrUnavailable)

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = db.Exec(ctx, "select pg_sleep(10)")
	require.ErrorIs(t, modules.Classify(err), modules.ErrTimeout)
	require.ErrorIs(t, modules.Classify(err), context.DeadlineExceeded)
}

func ExampleClassify() {
	err := modules.Classify(&pgconn.PgError{Code: "23505", ConstraintName: "agents_name_key", Detail: "Key (name)=(Ada) already exists."})
	fmt.Println(errors.Is(err, modules.ErrConflict))
	fmt.Println(err)
	// Output:
	// true
	// already exists (SQLSTATE 23505, constraint agents_name_key)
}

func TestUnavailableSaysWhatToDo(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		"40001": "the database can't do this now (SQLSTATE 40001: others were in the way, several times: try again)",
		"40P01": "the database can't do this now (SQLSTATE 40P01: others were in the way, several times: try again)",
		"25006": "the database can't do this now (SQLSTATE 25006: the server is a read-only standby)",
		"53300": "the database can't do this now (SQLSTATE 53300)",
	} {
		require.EqualError(t, modules.Classify(&pgconn.PgError{Code: code}), want)
	}
}
