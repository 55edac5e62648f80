package orchestrator

import (
	"context"
	"sync/atomic"
	"time"

	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/modules/internal/store"
)

// name is the client's in errors, statistics and the version table.
const name = "orchestrator"

// Module adds *Client and the client's migrations to an fx application with fxdb.Module.
// OnStart checks the schema and adds missing settings. After OnStop every method that asks the
// database fails with fxdb.ErrDraining.
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
}

// Params are the arguments of New. Without fx fill in DB, named and with fxdb.RequireTenant.
type Params struct {
	fx.In

	DB        *fxdb.DB
	Lifecycle fx.Lifecycle `optional:"true"`
	Config    Config       `optional:"true"`
}

// Client is the orchestrator of an application, and is safe for concurrent use.
type Client struct {
	db        *store.DB
	stopped   atomic.Bool
	usage     usage
	positions positions
	roomy     roomy
}

// New returns a client, and sends nothing. In an fx application OnStart checks the schema with
// CheckSchema.
func New(p Params) (*Client, error) {
	db, err := store.New(name, p.DB, p.Config.DefaultTenant, p.Config.StatementTimeout)
	if err != nil {
		return nil, err
	}
	c := &Client{db: db}
	c.usage.start()
	if p.Lifecycle != nil {
		p.Lifecycle.Append(fx.StartStopHook(c.begin, func() { c.stopped.Store(true) }))
	}
	db.AtStart(p.Lifecycle, c.ready)
	return c, nil
}

func (c *Client) begin() {
	c.stopped.Store(false)
	c.usage.start()
}

func (c *Client) ready(ctx context.Context) error {
	if err := c.CheckSchema(ctx); err != nil {
		return err
	}
	return c.addMissingSettings(ctx)
}

// Available reports whether a call would reach the database now: the pool has started, no stop
// has begun, and the server answers. Available needs no tenant.
func (c *Client) Available(ctx context.Context) bool {
	return !c.stopped.Load() && c.db.Available(ctx)
}
