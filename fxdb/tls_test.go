package fxdb_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/internal/testing/pgfault"
	"github.com/agentagency/onepool/internal/testing/size"
)

func TestAPoolChecksTheServersCertificateAndShowsItsOwn(t *testing.T) {
	size.SkipShort(t)
	server, authority, stranger := pgfault.StartRestartable(t), pgfault.NewAuthority(t), pgfault.NewAuthority(t)
	port := server.RestartWithTLS(t, authority)
	cert, key := authority.Client(t, devdb.RoleApp)
	otherCert, otherKey := authority.Client(t, "another_role")
	forgedCert, forgedKey := stranger.Client(t, devdb.RoleApp)
	all := map[string]string{
		"DB_HOST": "127.0.0.1", "DB_PORT": strconv.Itoa(port), "DB_NAME": "postgres", "DB_USER": devdb.RoleApp,
		"DB_SSLMODE": "verify-full", "DB_SSLROOTCERT": authority.RootCert, "DB_SSLCERT": cert, "DB_SSLKEY": key,
	}
	address := fmt.Sprintf("postgres://%s@127.0.0.1:%d/postgres", devdb.RoleApp, port)
	for name, c := range map[string]struct {
		change map[string]string
		err    string // empty: the pool starts
	}{
		"as it should be":                        {},
		"in the URL":                             {change: map[string]string{"DATABASE_URL": address + "?sslmode=verify-full&sslrootcert=" + authority.RootCert + "&sslcert=" + cert + "&sslkey=" + key, "DB_SSLCERT": otherCert, "DB_SSLKEY": otherKey}},
		"files beside a URL":                     {change: map[string]string{"DATABASE_URL": address}},
		"in libpq's variables":                   {change: map[string]string{"DB_SSLCERT": "", "DB_SSLKEY": "", "PGSSLCERT": cert, "PGSSLKEY": key}},
		"a name that the certificate lacks":      {map[string]string{"DB_HOST": "localhost"}, "certificate"},
		"the same name, and no check of names":   {change: map[string]string{"DB_HOST": "localhost", "DB_SSLMODE": "verify-ca"}},
		"an authority that the pool trusts not":  {map[string]string{"DB_SSLROOTCERT": stranger.RootCert}, "certificate signed by unknown authority"},
		"no certificate of the client":           {map[string]string{"DB_SSLCERT": "", "DB_SSLKEY": ""}, "requires a valid client certificate"},
		"the certificate of another role":        {map[string]string{"DB_SSLCERT": otherCert, "DB_SSLKEY": otherKey}, "certificate authentication failed"},
		"a client's certificate of someone else": {map[string]string{"DB_SSLCERT": forgedCert, "DB_SSLKEY": forgedKey}, "unknown certificate authority"},
	} {
		t.Run(name, func(t *testing.T) {
			setenv(t, all)
			for setting, value := range c.change {
				t.Setenv(setting, value)
			}
			cfg, err := fxdb.ConfigFromEnv()
			require.NoError(t, err)
			db, err := fxdb.Open(within(t), cfg)
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				return
			}
			require.NoError(t, err)
			defer db.Close(context.Background())
			var encrypted bool
			var client string
			require.NoError(t, db.QueryRow(within(t), "select ssl, coalesce(client_dn, '') from pg_stat_ssl where pid = pg_backend_pid()").Scan(&encrypted, &client))
			require.True(t, encrypted)
			require.Equal(t, "/CN="+devdb.RoleApp, client)
		})
	}
	t.Run("the session check", func(t *testing.T) {
		setenv(t, all)
		cfg, err := fxdb.ConfigFromEnv()
		require.NoError(t, err)
		check(&cfg)
		db, err := fxdb.Open(within(t), cfg, fxdb.WithConfigurePool(func(pc *pgxpool.Config) error {
			pc.BeforeClose = func(conn *pgx.Conn) {
				if err := conn.Ping(context.Background()); err != nil {
					t.Error(err)
				}
			}
			return nil
		}))
		require.NoError(t, err)
		defer func() { require.NoError(t, db.Close(context.Background())) }()
		use := func() (found string) {
			require.NoError(t, db.QueryRow(as(t, "acme"), "select current_setting('work_mem')").Scan(&found))
			_, err := db.Exec(within(t), "select 1")
			require.NoError(t, err)
			require.NoError(t, db.InTx(as(t, "acme"), pgx.TxOptions{}, func(tx pgx.Tx) error { _, err := tx.Exec(as(t, "acme"), "select 1"); return err }))
			return found
		}
		clean := use()
		require.Equal(t, clean, use())
		require.EqualValues(t, 1, db.Stats().Opened)
		unseen := []string{"set work_mem = '3MB'", "prepare mine as select 1", "listen jobs"}
		for _, sql := range unseen {
			conn, err := db.Acquire(within(t))
			require.NoError(t, err)
			_, err = conn.Conn().PgConn().Exec(within(t), sql).ReadAll()
			require.NoError(t, err)
			conn.Release()
			require.Equal(t, clean, use(), sql)
		}
		require.EqualValues(t, 1+len(unseen), db.Stats().Opened)
	})
	t.Run("a late statement, and a stranger's", func(t *testing.T) {
		setenv(t, all)
		cfg, err := fxdb.ConfigFromEnv()
		require.NoError(t, err)
		db, err := fxdb.Open(within(t), cfg)
		require.NoError(t, err)
		defer func() { require.NoError(t, db.Close(context.Background())) }()
		requireLate(t, lateBy(db, 100*time.Millisecond))
		requireStrangerLives(t, db)
	})
	t.Run("migrations", func(t *testing.T) {
		for name, change := range map[string]map[string]string{
			"of the settings": {"DB_MIGRATE_URL": address},
			"of the pool's URL": {
				"DATABASE_URL":   address + "?sslmode=verify-full&sslrootcert=" + authority.RootCert + "&sslcert=" + cert + "&sslkey=" + key,
				"DB_MIGRATE_URL": address, "DB_SSLMODE": "", "DB_SSLROOTCERT": "", "DB_SSLCERT": "", "DB_SSLKEY": "",
			},
			"of their own": {
				"DB_MIGRATE_URL": address + "?sslcert=" + cert + "&sslkey=" + key, "DB_SSLCERT": otherCert, "DB_SSLKEY": otherKey,
			},
		} {
			t.Run(name, func(t *testing.T) {
				setenv(t, all)
				for setting, value := range change {
					t.Setenv(setting, value)
				}
				cfg, err := fxdb.ConfigFromEnv()
				require.NoError(t, err)
				conn, err := pgx.ConnectConfig(within(t), fxdb.MigrateConfig(t, cfg).ConnConfig)
				require.NoError(t, err)
				defer conn.Close(context.Background())
				require.False(t, conn.Config().TLSConfig.InsecureSkipVerify, "verify-full")
			})
		}
	})
}

func TestHalfOfACertificateIsRefused(t *testing.T) {
	cert, key := pgfault.NewAuthority(t).Client(t, "r")
	for setting, c := range map[string]struct {
		env map[string]string
		err string
	}{
		"DB_SSLKEY":  {map[string]string{"DB_SSLCERT": cert}, "is not set, but DB_SSLCERT is"},
		"DB_SSLCERT": {map[string]string{"DB_SSLKEY": key}, "is not set, but DB_SSLKEY is"},
	} {
		setenv(t, c.env)
		for name := range map[string]bool{"DB_SSLCERT": true, "DB_SSLKEY": true} {
			t.Setenv(name, c.env[name])
		}
		_, err := fxdb.ConfigFromEnv()
		var configErr *fxdb.ConfigError
		require.ErrorAs(t, err, &configErr)
		require.Equal(t, setting, configErr.Setting)
		require.ErrorContains(t, err, c.err)
	}
	setenv(t, map[string]string{"DB_SSLCERT": cert + ".none", "DB_SSLKEY": key})
	_, err := fxdb.ConfigFromEnv()
	require.ErrorContains(t, err, "DB_SSLCERT: can't be read")
}

// warned returns what the start says about servers that the pool does not check.
func warned(t *testing.T, cfg fxdb.Config) []observer.LoggedEntry {
	t.Helper()
	core, logs := observer.New(zap.WarnLevel)
	ended, cancel := context.WithCancel(t.Context())
	cancel() // the warning comes before any connection
	_, err := fxdb.Open(ended, cfg, fxdb.WithLogger(zap.New(core)))
	require.Error(t, err)
	return logs.FilterMessageSnippet("does not check the certificate of the server").All()
}

func TestEveryModeWithoutACheckIsWarnedOfUnlessTheServerIsLocal(t *testing.T) {
	size.SkipShort(t)
	setenv(t, nil)
	root := pgfault.NewAuthority(t).RootCert
	for name, c := range map[string]struct {
		cfg       fxdb.Config
		servers   []any // nil: no warning
		setting   string
		encrypted bool
	}{
		"the default":               {fxdb.Config{Host: "db.example"}, []any{"db.example:5432"}, "DB_SSLMODE", false},
		"disable":                   {fxdb.Config{Host: "db.example", SSLMode: "disable"}, []any{"db.example:5432"}, "DB_SSLMODE", false},
		"allow":                     {fxdb.Config{Host: "db.example", SSLMode: "allow"}, []any{"db.example:5432"}, "DB_SSLMODE", false},
		"prefer":                    {fxdb.Config{Host: "db.example", SSLMode: "prefer"}, []any{"db.example:5432"}, "DB_SSLMODE", false},
		"require":                   {fxdb.Config{Host: "db.example", SSLMode: "require"}, []any{"db.example:5432"}, "DB_SSLMODE", true},
		"require of a URL":          {fxdb.Config{URL: "postgres://u@10.0.0.7:6432/d?sslmode=require"}, []any{"10.0.0.7:6432"}, "DATABASE_URL", true},
		"a URL without a mode":      {fxdb.Config{URL: "postgres://u@db.example/d"}, []any{"db.example:5432"}, "DB_SSLMODE", false},
		"some of several hosts":     {fxdb.Config{URL: "postgres://u@127.0.0.1:1,h1:2,[2001:db8::1]:3/d"}, []any{"h1:2", "[2001:db8::1]:3"}, "DB_SSLMODE", false},
		"verify-ca":                 {fxdb.Config{Host: "db.example", SSLMode: "verify-ca", SSLRootCert: root}, nil, "", false},
		"verify-full":               {fxdb.Config{Host: "db.example", SSLMode: "verify-full"}, nil, "", false},
		"require with an authority": {fxdb.Config{Host: "db.example", SSLMode: "require", SSLRootCert: root}, nil, "", false}, // is verify-ca, as for libpq
		"a socket":                  {fxdb.Config{Host: "/run/postgresql"}, nil, "", false},
		"localhost":                 {fxdb.Config{Host: "localhost"}, nil, "", false},
		"loopback":                  {fxdb.Config{Host: "127.8.0.1", SSLMode: "disable"}, nil, "", false},
		"loopback of IPv6":          {fxdb.Config{URL: "postgres://u@[::1]/d"}, nil, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			got := warned(t, c.cfg)
			if c.servers == nil {
				require.Empty(t, got)
				return
			}
			require.Len(t, got, 1)
			require.Equal(t, map[string]any{"setting": c.setting, "servers": c.servers, "always_encrypted": c.encrypted}, got[0].ContextMap())
		})
	}
	t.Run("libpq's variable", func(t *testing.T) {
		t.Setenv("PGSSLMODE", "require")
		got := warned(t, fxdb.Config{URL: "postgres://u@db.example/d"})
		require.Len(t, got, 1)
		require.Equal(t, "PGSSLMODE", got[0].ContextMap()["setting"])
	})
	t.Run("DB_SSL", func(t *testing.T) {
		setenv(t, map[string]string{"DB_SSL": "true", "DB_HOST": "db.example"})
		cfg, err := fxdb.ConfigFromEnv()
		require.NoError(t, err)
		got := warned(t, cfg)
		require.Len(t, got, 1)
		require.Equal(t, true, got[0].ContextMap()["always_encrypted"])
	})
	t.Run("migrations", func(t *testing.T) {
		cfg := fxdb.Config{Host: "db.example", SSLMode: "verify-full", Migrate: true, MigrateURL: "postgres://owner@db2.example/d?sslmode=require"}
		got := warned(t, cfg)
		require.Len(t, got, 1)
		require.Equal(t, "DB_MIGRATE_URL", got[0].ContextMap()["setting"])
		cfg.MigrateURL = "postgres://owner@db2.example/d"
		require.Empty(t, warned(t, cfg), "the pool's sslmode holds for migrations")
		cfg.Migrate, cfg.MigrateURL = false, "postgres://owner@db2.example/d?sslmode=disable"
		require.Empty(t, warned(t, cfg), "nothing connects there")
	})
}

// requireStrangerLives has the pool cancel a connection whose process is the process of a stranger,
// as behind a pooler or on another server.
func requireStrangerLives(t *testing.T, db *fxdb.DB) {
	t.Helper()
	connect := func() *pgx.Conn {
		conn, err := pgx.ConnectConfig(within(t), db.Pool().Config().ConnConfig.Copy())
		require.NoError(t, err)
		return conn
	}
	stranger := connect()
	defer stranger.Close(context.Background())
	wire, err := connect().PgConn().Hijack()
	require.NoError(t, err)
	for process, want := range map[uint32]bool{wire.PID: true, stranger.PgConn().PID(): false} {
		wire.PID = process
		conn, err := pgconn.Construct(wire)
		require.NoError(t, err)
		require.Equal(t, want, db.Monitor().CancelStatement(conn))
	}
	require.NoError(t, wire.Conn.Close())
}
