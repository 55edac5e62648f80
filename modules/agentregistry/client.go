package agentregistry

import (
	"cmp"
	"time"

	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/modules/internal/store"
)

// name is the client's in errors, statistics and the version table.
const name = "agentregistry"

// Module adds *Client and the client's migrations to an fx application with fxdb.Module.
// OnStart checks the schema.
var Module = fx.Options(
	fxdb.Client(name, New, fxdb.RequireTenant()),
	fxdb.Migrations(name, migrations),
)

// DefaultStatementTimeout is the registry's statement timeout: routing waits for the registry's
// answers, so the registry gives up before the pool's limit.
const DefaultStatementTimeout = 5 * time.Second

// Config changes a Client. The zero value is sound.
type Config struct {
	// DefaultTenant is the tenant of a call whose context has neither an identity nor
	// tenant.System, for installations with a single tenant. Default: none, and the call fails
	// with fxdb.ErrTenantRequired.
	DefaultTenant string
	// StatementTimeout is how long the server lets a statement of the client run; a longer
	// statement fails with modules.ErrTimeout. 0 is DefaultStatementTimeout, negative is none.
	StatementTimeout time.Duration
}

// Params are the arguments of New. Without fx fill in DB, named and with fxdb.RequireTenant.
type Params struct {
	fx.In

	DB        *fxdb.DB
	Lifecycle fx.Lifecycle `optional:"true"`
	Config    Config       `optional:"true"`
}

// Client is the registry of an application, and is safe for concurrent use.
type Client struct{ db *store.DB }

// New returns a client, and sends nothing. In an fx application OnStart checks the schema with
// CheckSchema.
func New(p Params) (*Client, error) {
	db, err := store.New(name, p.DB, p.Config.DefaultTenant, cmp.Or(p.Config.StatementTimeout, DefaultStatementTimeout))
	if err != nil {
		return nil, err
	}
	c := &Client{db}
	db.AtStart(p.Lifecycle, c.CheckSchema)
	return c, nil
}
