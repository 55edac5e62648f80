package verification

import (
	"context"
	"time"

	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/modules"
)

// name is the client's in errors, statistics and the version table.
const name = "verification"

// Module adds *Client and its migrations to an fx application that has
// fxdb.Module. OnStart checks the schema.
var Module = fx.Options(
	fxdb.Client(name, New, fxdb.RequireTenant()),
	fxdb.Migrations(name, migrations),
)

// Config changes a Client. Its zero value is sound.
type Config struct {
	// DefaultTenant is used where the context has neither an identity nor
	// tenant.System, for installations with one tenant. Default: none, such a
	// call fails with fxdb.ErrTenantRequired.
	DefaultTenant string
	// StatementTimeout is how long the server lets one of the client's statements
	// run: a modules.ErrTimeout after it. 0 is the pool's own limit
	// (DB_STATEMENT_TIMEOUT_MS), negative is none.
	StatementTimeout time.Duration
}

// Params are what New takes. Without fx fill in DB, named and with
// fxdb.RequireTenant.
type Params struct {
	fx.In

	DB        *fxdb.DB
	Lifecycle fx.Lifecycle `optional:"true"`
	Config    Config       `optional:"true"`
}

// Client is the verification of one application. It is safe for concurrent use.
type Client struct{ db *modules.DB }

// New returns a client. It sends nothing; in an fx application OnStart checks
// the schema with CheckSchema.
func New(p Params) (*Client, error) {
	db, err := modules.NewDB(name, p.DB, p.Config.DefaultTenant, p.Config.StatementTimeout)
	if err != nil {
		return nil, err
	}
	c := &Client{db}
	db.AtStart(p.Lifecycle, c.CheckSchema)
	return c, nil
}

// Available reports whether a call would reach the database now: the pool has
// started, no stop has begun, and the server answers. It needs no tenant.
func (c *Client) Available(ctx context.Context) bool { return c.db.Available(ctx) }

// shared is why the methods belong to no tenant.
const shared = "verification methods are the same for all tenants"
