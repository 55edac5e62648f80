package agentregistry_test

import (
	"context"
	"fmt"
	"log"

	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/modules/agentregistry"
	"github.com/agentagency/onepool/tenant"
)

func Example() {
	var registry *agentregistry.Client
	app := fx.New(fx.NopLogger, fxdb.Module, devdb.Module, agentregistry.Module, fx.Populate(&registry))
	ctx := context.Background()
	if err := app.Start(ctx); err != nil {
		log.Fatal(err)
	}
	acme := tenant.NewContext(ctx, tenant.Identity{Tenant: "acme"})
	err := registry.Register(acme, agentregistry.Agent{
		ID: "ada", Name: "Ada", ModelFamily: agentregistry.ModelClaude35,
		Capabilities: agentregistry.Capabilities{TaskTypes: []string{agentregistry.TaskResearch}},
	})
	if err != nil {
		log.Fatal(err)
	}
	found, err := registry.FindByCapability(acme, agentregistry.Query{TaskType: agentregistry.TaskResearch})
	fmt.Println(len(found), err)
	_, err = registry.Get(tenant.NewContext(ctx, tenant.Identity{Tenant: "globex"}), "ada")
	fmt.Println(err)
	if err := app.Stop(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// 1 <nil>
	// agentregistry: get: agent not found
}
