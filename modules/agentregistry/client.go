package agentregistry

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/tenant"
)

// name is the client's in errors, statistics and the version table.
const name = "agentregistry"

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
}

// Params are what New takes. Without fx fill in DB, named and with
// fxdb.RequireTenant.
type Params struct {
	fx.In

	DB        *fxdb.DB
	Lifecycle fx.Lifecycle `optional:"true"`
	Config    Config       `optional:"true"`
}

// Client is the registry of one application. It is safe for concurrent use.
type Client struct {
	db  *fxdb.DB
	cfg Config
}

// New returns a client. It sends nothing; in an fx application OnStart checks
// the schema with CheckSchema.
func New(p Params) (*Client, error) {
	if p.DB == nil {
		return nil, errors.New("agentregistry: Params.DB is nil: give it a *fxdb.DB")
	}
	if p.Config.DefaultTenant != "" {
		if err := (tenant.Identity{Tenant: p.Config.DefaultTenant}).Validate(); err != nil {
			return nil, fmt.Errorf("agentregistry: Config.DefaultTenant: %w", err)
		}
	}
	c := &Client{db: p.DB, cfg: p.Config}
	if p.Lifecycle != nil {
		p.Lifecycle.Append(fx.StartHook(func(ctx context.Context) error {
			if !p.DB.Monitor().Started() {
				return nil // DB_START=degrade: there is no server to ask yet
			}
			return c.CheckSchema(ctx)
		}))
	}
	return c, nil
}

// scope puts the default tenant into a context that has nothing.
func (c *Client) scope(ctx context.Context) context.Context {
	if c.cfg.DefaultTenant == "" {
		return ctx
	}
	_, scoped := tenant.FromContext(ctx)
	_, system := tenant.SystemReason(ctx)
	if scoped || system {
		return ctx
	}
	return tenant.NewContext(ctx, tenant.Identity{Tenant: c.cfg.DefaultTenant})
}

// one runs a statement that returns one row.
func one[T any](ctx context.Context, c *Client, sql string, args pgx.NamedArgs) (T, error) {
	rows, err := c.db.Query(c.scope(ctx), sql, args)
	if err != nil {
		var zero T
		return zero, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[T])
}

// many runs a statement that returns rows.
func many[T any](ctx context.Context, c *Client, sql string, args pgx.NamedArgs) ([]T, error) {
	rows, err := c.db.Query(c.scope(ctx), sql, args)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[T])
}
