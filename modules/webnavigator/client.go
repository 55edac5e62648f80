package webnavigator

import (
	"context"
	"time"

	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/modules/internal/store"
)

// name is the client's in errors, statistics and the version table.
const name = "webnavigator"

// Module adds *Client and the client's migrations to an fx application with fxdb.Module.
// OnStart checks the schema.
var Module = fx.Options(
	fxdb.Client(name, New, fxdb.RequireTenant()),
	fxdb.Migrations(name, migrations),
)

// Config changes a Client. The zero value is sound.
type Config struct {
	// DefaultTenant is the tenant of a call whose context has neither an identity nor
	// tenant.System, for installations with a single tenant. Default: none, and the call fails
	// with fxdb.ErrTenantRequired.
	DefaultTenant string
	// StatementTimeout is how long the server lets a statement of the client run; a longer
	// statement fails with modules.ErrTimeout. 0 is the pool's own limit
	// (DB_STATEMENT_TIMEOUT_MS), negative is none.
	StatementTimeout time.Duration
	// StartAnyway lets the application start with an unusable schema: the client logs the
	// reason, and each call fails until the schema is usable. For users of FailOpen. Default:
	// the start fails.
	StartAnyway bool
}

// Params are the arguments of New. Without fx fill in DB, named and with fxdb.RequireTenant.
type Params struct {
	fx.In

	DB        *fxdb.DB
	Lifecycle fx.Lifecycle `optional:"true"`
	Log       *zap.Logger  `optional:"true"`
	Config    Config       `optional:"true"`
}

// Client is the web navigator of an application, and is safe for concurrent use.
type Client struct{ db *store.DB }

// New returns a client, and sends nothing. In an fx application OnStart checks the schema with
// CheckSchema.
func New(p Params) (*Client, error) {
	db, err := store.New(name, p.DB, p.Config.DefaultTenant, p.Config.StatementTimeout)
	if err != nil {
		return nil, err
	}
	c := &Client{db: db}
	check := c.CheckSchema
	if p.Config.StartAnyway {
		check = store.Anyway(name, p.Log, check)
	}
	db.AtStart(p.Lifecycle, check)
	return c, nil
}

// Available reports whether a call would reach the database now: the pool has started, no stop
// has begun, and the server answers. Available needs no tenant.
func (c *Client) Available(ctx context.Context) bool { return c.db.Available(ctx) }
