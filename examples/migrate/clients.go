package main

import (
	"context"

	"go.uber.org/fx"

	"github.com/agentagency/onepool/modules/agentregistry"
	"github.com/agentagency/onepool/modules/knowledge"
	"github.com/agentagency/onepool/modules/orchestrator"
	"github.com/agentagency/onepool/modules/verification"
	"github.com/agentagency/onepool/modules/webnavigator"
)

// client is a database client that moves. The module's code does not know the client's pool.
type client struct {
	name   string
	conns  int // of the client's own pool
	module fx.Option
	table  string // the table that call reads
	call   func(context.Context) error
}

// newClients returns the agency's clients, the largest pool first.
func newClients() []client {
	var v *verification.Client
	var o *orchestrator.Client
	var a *agentregistry.Client
	var k *knowledge.Client
	var w *webnavigator.Client
	return []client{
		{"verification", 20, fx.Options(verification.Module, fx.Populate(&v)), "verification.requests",
			func(ctx context.Context) error { _, err := v.Pending(ctx, 1); return err }},
		{"orchestrator", 15, fx.Options(orchestrator.Module, fx.Populate(&o)), "orchestrator.task_counts",
			func(ctx context.Context) error { _, err := o.Stats(ctx); return err }},
		{"agentregistry", 10, fx.Options(agentregistry.Module, fx.Populate(&a)), "registry.agent_counts",
			func(ctx context.Context) error { _, err := a.Stats(ctx); return err }},
		{"knowledge", 10, fx.Options(knowledge.Module, fx.Populate(&k)), "knowledge.entry_counts",
			func(ctx context.Context) error { _, err := k.EntryStats(ctx, "", ""); return err }},
		{"webnavigator", 10, fx.Options(webnavigator.Module, fx.Populate(&w)), "web.cache",
			func(ctx context.Context) error { _, err := w.CacheStats(ctx); return err }},
	}
}
