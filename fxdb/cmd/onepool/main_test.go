package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/pgfault"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant/rls"
	"github.com/agentagency/onepool/testkit"
)

// The test binary is the command if a variable says so: settings come from the
// environment, which tests that run in parallel can't share.
func TestMain(m *testing.M) {
	if os.Getenv("ONEPOOL_COMMAND") != "" {
		main()
	}
	os.Exit(m.Run())
}

type result struct {
	status      int
	out, errors string
}

func onepool(t *testing.T, url string, args ...string) result {
	t.Helper()
	return onepoolWith(t, nil, url, args...)
}

func onepoolWith(t *testing.T, env []string, url string, args ...string) result {
	t.Helper()
	var out, errors bytes.Buffer
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	// The application's way to start is not the command's.
	cmd.Env = append(os.Environ(), "ONEPOOL_COMMAND=1", "DATABASE_URL="+url, "DB_START=wait", "DB_VERIFY_TENANCY=require")
	cmd.Env = append(cmd.Env, env...)
	cmd.Stdout, cmd.Stderr = &out, &errors
	err := cmd.Run()
	if cmd.ProcessState == nil {
		require.NoError(t, err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errors.String()}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := testkit.DB(t)
	url := db.Pool().Config().ConnString()
	owner := testkit.OwnerPool(t, db)
	_, err := owner.Exec(t.Context(), `create schema shop; create table shop.orders (org text primary key); create table shop.tags (org text primary key)`)
	require.NoError(t, err)

	r := onepool(t, url, "verify", "-column", "org")
	require.Equal(t, unsound, r.status, r)
	require.Contains(t, r.out, "table-rls-off  shop.orders  (fail-open)")
	require.Contains(t, r.out, "not sound: 2 errors")

	r = onepool(t, url, "verify", "-tables", "shop.orders:org,shop.tags:org", "-format", "json")
	require.Equal(t, unsound, r.status, r)
	var report struct {
		OK       bool
		Findings []rls.Finding
	}
	require.NoError(t, json.Unmarshal([]byte(r.out), &report))
	require.False(t, report.OK)
	require.Len(t, report.Findings, 2)

	// What enable prints mends it.
	ddl := onepool(t, "", "enable", "shop.orders:org")
	require.Equal(t, sound, ddl.status, ddl)
	_, err = owner.Exec(t.Context(), ddl.out)
	require.NoError(t, err)
	r = onepool(t, url, "verify", "-tables", "shop.orders:org", "-format", "sarif")
	require.Equal(t, sound, r.status, r)
	require.Contains(t, r.out, `"version": "2.1.0"`)
	r = onepool(t, url, "verify", "-column", "org", "-allow", "table-rls-off:shop.tags:tags are the same for all: on purpose")
	require.Equal(t, sound, r.status, r)
	require.Contains(t, r.out, "reason: tags are the same for all: on purpose")

	// A hole that would fail the application's start is a report here.
	_, err = owner.Exec(t.Context(), "create table shop.open (tenant_id text primary key)")
	require.NoError(t, err)
	r = onepool(t, url, "verify")
	require.Equal(t, unsound, r.status, r)
	require.Contains(t, r.out, "table-rls-off  shop.open")
}

func TestWrongUseEndsWithTwo(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "usage:"},
		{[]string{"verfiy"}, `unknown command "verfiy"`},
		{[]string{"verify", "-format", "xml"}, `-format "xml" is unknown`},
		{[]string{"verify", "-what"}, "-what"},
		{[]string{"verify", "shop.orders"}, "-tables"},
		{[]string{"verify", "-allow", "matview:shop.m"}, "must be code:object:reason"},
		{[]string{"verify", "-tables", "a:b:c:d"}, "too many parts"},
		{[]string{"enable"}, "no table"},
		{[]string{"enable", "shop.orders"}, "names no column"},
		{[]string{"enable", "shop.orders:org:enum"}, `type "enum"`},
		{[]string{"enable", "-share", "a.b.c", "shop.orders:org"}, "more than two parts"},
		{[]string{"enable", "-share", "shop.shares", "-share-owner", "org", "-share-reader", "org", "shop.orders:org"}, "the same column"},
		{[]string{"enable", "-share-owner", "org", "shop.orders:org"}, "-share-owner needs -share"},
		{[]string{"enable", "-share-reader", "org", "shop.orders:org"}, "-share-reader needs -share"},
		{[]string{"enable", "-share-module", "crm", "shop.orders:org"}, "-share-module needs -share"},
	} {
		r := onepool(t, "", c.args...)
		require.Equal(t, misused, r.status, "%v: %v", c.args, r)
		require.Contains(t, r.errors, c.want, c.args)
		require.Empty(t, r.out)
	}
	r := onepool(t, "postgres://%zz", "verify")
	require.Equal(t, misused, r.status, r)
	url := testkit.DB(t).Pool().Config().ConnString()
	r = onepool(t, url, "verify", "-allow", "matviews:*:because")
	require.Equal(t, misused, r.status, r)
	require.Contains(t, r.errors, "unknown code")
	require.Equal(t, sound, onepool(t, "", "help").status)
	require.Equal(t, sound, onepool(t, "", "verify", "-h").status)
}

func TestAServerThatCannotBeAskedEndsWithThree(t *testing.T) {
	t.Parallel()
	r := onepool(t, "postgres://nobody:secret@127.0.0.1:1/none?connect_timeout=1", "verify")
	require.Equal(t, failed, r.status, r)
	require.NotContains(t, r.errors, "secret")
	require.NotEmpty(t, r.errors)
}

func TestEnable(t *testing.T) {
	t.Parallel()
	r := onepool(t, "", "enable", "-goose", "-index", "-share", "shop.shares", `"odd:name".orders:org:uuid`)
	require.Equal(t, sound, r.status, r)
	require.Equal(t, rls.Migration(rls.Table{
		Name: `"odd:name".orders`, Column: "org", Type: "uuid", Index: true, Sharing: &rls.Sharing{Name: "shop.shares"},
	}), r.out)
	r = onepool(t, "", "enable", "-share", "shop.shares", "-share-owner", "giver", "-share-reader", "taker", "-share-module", "crm", "shop.orders:org")
	require.Equal(t, sound, r.status, r)
	require.Equal(t, rls.Enable(rls.Table{
		Name: "shop.orders", Column: "org", Sharing: &rls.Sharing{Name: "shop.shares", Owner: "giver", Reader: "taker", Module: "crm"},
	}), r.out)
}

// The server's first superuser can't lose its rights on some servers, and must not on any.
func TestVerifyLeavesTheFirstSuperuserItsRights(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	s := pgfault.Start(t)
	s.Admin(t, func(c *pgx.Conn) {
		for _, sql := range []string{"create role boss superuser login", "create role clerk", "grant clerk to boss"} {
			_, err := c.Exec(t.Context(), sql)
			require.NoError(t, err)
		}
	})
	first := onepool(t, s.URL(), "verify")
	require.Equal(t, unsound, first.status, first)
	require.Contains(t, first.out, "role-superuser  postgres")
	require.NotContains(t, first.out, "alter role")
	require.Contains(t, first.out, "connect as the new role")

	other := onepool(t, s.DatabaseURL("boss", "postgres"), "verify")
	require.Equal(t, unsound, other.status, other)
	require.Contains(t, other.out, `alter role "boss" nosuperuser;`)

	t.Run("as the login of a tenant's role", func(t *testing.T) {
		for login, want := range map[string]string{"postgres": "connect as the new role", "boss": `alter role "boss" nosuperuser nobypassrls;`} {
			r := onepoolWith(t, []string{"DB_TENANT_ROLE=clerk"}, s.DatabaseURL(login, "postgres"), "verify")
			require.Contains(t, r.out, "login-bypasses  "+login)
			require.Contains(t, r.out, want)
			require.NotContains(t, r.out, `alter role "postgres" nosuperuser`)
		}
	})
}

func TestVerifyWithoutSettingsNamesSettings(t *testing.T) {
	t.Parallel()
	// A server that listens on localhost has no such role.
	r := onepoolWith(t, []string{"DB_CONNECTION_TIMEOUT_MS=2000", "PGUSER=onepool_nobody"}, "", "verify")
	require.Equal(t, failed, r.status, r)
	require.Contains(t, r.errors, "DATABASE_URL")
	require.Contains(t, r.errors, "DB_HOST")
	require.NotContains(t, r.errors, "devdb", "a module is nothing that a command takes")
}

func TestHelpIsPrintedToStandardOutput(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	for _, args := range [][]string{
		{"-h"}, {"--help"}, {"-help"}, {"help"}, {"verify", "-h"}, {"verify", "--help"}, {"verify", "help"}, {"enable", "-help"}, {"enable", "help"},
		{"help", "verify"}, {"help", "enable"}, {"verify", "-format", "json", "-h"},
	} {
		r := onepool(t, "", args...)
		require.Equal(t, sound, r.status, "%v: %v", args, r)
		require.Contains(t, r.out, "usage", args)
		require.Empty(t, r.errors, args)
	}
	require.Contains(t, onepool(t, "", "help", "verify").out, "-format")
	require.Contains(t, onepool(t, "", "enable", "-h").out, "-goose")
	r := onepool(t, "", "verify", "-what")
	require.Empty(t, r.out, "a mistake is no help")
	require.Equal(t, misused, r.status)
	r = onepool(t, "", "help", "verfiy")
	require.Equal(t, misused, r.status)
}
