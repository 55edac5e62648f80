package agentregistry

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/store"
)

const getSQL = "select " + columns + " from registry.agent_overview o where o.id = @id"

// Get returns the agent, or ErrAgentNotFound.
func (c *Client) Get(ctx context.Context, id string) (Agent, error) {
	if err := check.ID("id", id); err != nil {
		return Agent{}, wrap("get", err)
	}
	o, err := store.One[overview](ctx, c.db, getSQL, pgx.NamedArgs{"id": id})
	if err != nil {
		return Agent{}, wrap("get", err)
	}
	return o.agent(), nil
}
