package agentregistry

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
)

// Get returns the agent, or ErrAgentNotFound.
func (c *Client) Get(ctx context.Context, id string) (Agent, error) {
	if err := modules.CheckID("id", id); err != nil {
		return Agent{}, wrap("get", err)
	}
	o, err := modules.One[overview](ctx, c.db, "select "+columns+" from registry.agent_overview o where o.id = @id", pgx.NamedArgs{"id": id})
	if err != nil {
		return Agent{}, wrap("get", err)
	}
	return o.agent(), nil
}
