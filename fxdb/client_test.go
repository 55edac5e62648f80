package fxdb_test

import (
	"database/sql"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/fxdbsql"
	"github.com/agentagency/onepool/internal/testing/size"
)

func TestAClientWithoutANameIsRefused(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	type notes struct{ db *fxdb.DB }
	newNotes := func(db *fxdb.DB) *notes { return &notes{db} }
	url := urlOf(t)
	for _, blank := range []string{"", " ", "\t"} {
		for function, option := range map[string]fx.Option{
			"fxdb: Client(": fxdb.Client(blank, newNotes),
			"fxdb: Named(":  fx.Module("notes", fxdb.Named(blank), fx.Provide(newNotes)),
		} {
			var n *notes
			err := fx.New(fx.NopLogger, fxdb.Module, fx.Replace(fxdb.Config{URL: url}), option, fx.Populate(&n)).Err()
			require.ErrorContains(t, err, function)
			require.ErrorContains(t, err, "name")
			var invalid *fxdb.ConfigError
			require.ErrorAs(t, err, &invalid)
		}
	}
	db := notesDB(t)
	err := db.Named(" ").Ping(t.Context())
	require.ErrorContains(t, err, `Named(" "): `)
	require.ErrorContains(t, err, "name")
}

func TestAClientThatTakesNoDatabaseIsWarnedOf(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	type made struct{}
	type in struct {
		fx.In
		DB *fxdb.DB
	}
	type outer struct {
		fx.In
		Inner in
		Log   *zap.Logger
	}
	type bare struct {
		fx.In
		Log *zap.Logger
	}
	type plain struct{ DB *fxdb.DB } // a parameter of its own, that somebody else fills
	type ofPool struct {
		fx.In
		DB *fxdb.DB `name:"reporting"`
	}
	// The warning comes with the start, and needs no server.
	away := fxdb.Config{URL: "postgres:///nothing?host=" + t.TempDir(), Start: fxdb.StartDegrade}
	for name, c := range map[string]struct {
		constructor any
		warned      bool
	}{
		"nothing":                   {func() *made { return &made{} }, true},
		"a logger":                  {func(*zap.Logger) *made { return &made{} }, true},
		"fx.In without one":         {func(bare) *made { return &made{} }, true},
		"another struct":            {func(plain) *made { return &made{} }, true},
		"annotated":                 {fx.Annotate(func(*zap.Logger) *made { return &made{} }, fx.ParamTags(`optional:"true"`)), true},
		"*DB of ModuleNamed":        {fx.Annotate(func(*fxdb.DB) *made { return &made{} }, fx.ParamTags(`name:"reporting"`)), true},
		"*DB of ModuleNamed, fx.In": {func(ofPool) *made { return &made{} }, true},
		"*DB":                       {func(*fxdb.DB) *made { return &made{} }, false},
		"*DB, annotated":            {fx.Annotate(func(*fxdb.DB) *made { return &made{} }, fx.ResultTags(`name:"made"`)), false},
		"*DB, fx.Annotated":         {fx.Annotated{Name: "made", Target: func(*fxdb.DB) *made { return &made{} }}, false},
		"*sql.DB":                   {func(*sql.DB) *made { return &made{} }, false},
		"*pgxpool.Pool":             {func(*pgxpool.Pool) *made { return &made{} }, false},
		"fx.In":                     {func(in) *made { return &made{} }, false},
		"fx.In in fx.In":            {func(outer) *made { return &made{} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			core, logs := observer.New(zap.WarnLevel)
			app := fx.New(fx.NopLogger, fxdb.Module, fx.Replace(away), fxdbsql.Module,
				fx.Supply(zap.New(core), plain{}), fxdb.Client("notes", c.constructor),
				fxdb.ModuleNamed("reporting", fx.Replace(away)))
			require.NoError(t, app.Err())
			require.Zero(t, logs.Len(), "a graph that is only built, or checked, starts nothing")
			require.NoError(t, app.Start(t.Context()))
			defer func() { require.NoError(t, app.Stop(t.Context())) }()
			logged := logs.FilterMessageSnippet("constructor").FilterField(zap.String("client", "notes")).Len()
			if c.warned {
				require.Equal(t, 1, logged)
			} else {
				require.Zero(t, logged)
			}
		})
	}
}

func TestAClientsWarningNeedsNoLogger(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	type made struct{}
	startApp(t, fxdb.Config{URL: urlOf(t)}, fxdb.Client("notes", func() made { return made{} }))
	for _, wrong := range []any{nil, 42, made{}} {
		require.Error(t, fx.New(fx.NopLogger, fxdb.Module, fxdb.Client("notes", wrong)).Err(), "%v is no constructor", wrong)
	}
}

func TestALimitWithoutAnEffectIsWarnedOf(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.WarnLevel)
	for name, c := range map[string]struct {
		option fxdb.ClientOption
		warned int
	}{
		"above the pool":    {fxdb.MaxConns(500), 1},
		"the whole pool":    {fxdb.MaxConns(20), 0},
		"a different limit": {fxdb.Weight(500), 0},
	} {
		client := fxdb.Client(name, func(*fxdb.DB) *struct{} { return &struct{}{} }, c.option)
		require.NoError(t, fx.New(fx.NopLogger, fxdb.Module, fx.Replace(fxdb.Config{URL: "postgres://u@127.0.0.1:1/d"}), fx.Supply(zap.New(core)),
			client, fx.Invoke(func(*struct{}) {})).Err())
		require.Equal(t, c.warned, logs.FilterMessageSnippet("MaxConns is above").FilterField(zap.String("client", name)).Len(), name)
	}
}

// A limit without a unit is a mistake: time.Duration counts nanoseconds.
func TestATimeoutBelowAMillisecondIsRefused(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t)
	for name, limits := range map[string]fxdb.ServerTimeouts{
		"statement": {Statement: 3}, "lock": {Lock: 999_999}, "idle": {IdleInTransaction: 1}, "transaction": {Transaction: 1},
	} {
		err := db.Named(name, fxdb.Timeouts(limits)).Ping(t.Context())
		var invalid *fxdb.ConfigError
		require.ErrorAs(t, err, &invalid, name)
		require.ErrorContains(t, err, "counts nanoseconds", name)
	}
}

// The error of the start says all: a line about a drain would hide the error.
func TestAStartThatAnOptionFailsLogsNoDrain(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.DebugLevel)
	var db *fxdb.DB
	app := fx.New(fx.NopLogger, fxdb.Module, fx.Replace(fxdb.Config{URL: "postgres://u@127.0.0.1:1/d", Dedicated: []string{"other=2"}}), fx.Supply(zap.New(core)),
		fxdb.Client("notes", func(*fxdb.DB) *struct{} { return &struct{}{} }, fxdb.MaxConns(0)), fx.Invoke(func(*struct{}) {}), fx.Populate(&db))
	require.ErrorContains(t, app.Start(within(t)), "MaxConns(0)")
	require.Empty(t, logs.FilterMessageSnippet("drain").All())
	require.Error(t, db.Ping(within(t)))
}
