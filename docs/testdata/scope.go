// Package scope declares the names that the pages' Go blocks use without a declaration. A
// block that declares a name itself replaces the name of this file.
package scope

import (
	"context"
	"database/sql"
	"embed"
	"io/fs"
	"net/http"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/fxdb"
)

var (
	ctx        context.Context
	db         *fxdb.DB
	tx         pgx.Tx
	pool       *pgxpool.Pool
	batch      *pgx.Batch
	t          *testing.T
	lc         fx.Lifecycle
	log        *zap.Logger
	mux        *http.ServeMux
	api        http.Handler
	url        string
	names      []string
	rows       [][]any
	migrations embed.FS
	notes      *Notes
)

// Module is the production graph of an application.
var Module fx.Option

// Notes is a database client.
type Notes struct{ db *fxdb.DB }

// NewNotes takes the pool.
func NewNotes(db *fxdb.DB) *Notes { return &Notes{db} }

// Add stores a note.
func (n *Notes) Add(ctx context.Context, text string) (count int, err error) { return 0, nil }

// client is a package of the application with a database client.
type client struct {
	New        func(*fxdb.DB) *Notes
	Migrations fs.FS
}

var reports, checkout, orders client

// migrateUp runs golang-migrate.
func migrateUp(db *sql.DB) error { return nil }
