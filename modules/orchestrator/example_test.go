package orchestrator_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/modules/orchestrator"
	"github.com/agentagency/onepool/tenant"
)

func Example() {
	var queue *orchestrator.Client
	app := fx.New(fx.NopLogger, fxdb.Module, devdb.Module, orchestrator.Module, fx.Populate(&queue))
	ctx := context.Background()
	if err := app.Start(ctx); err != nil {
		log.Fatal(err)
	}
	acme := tenant.NewContext(ctx, tenant.Identity{Tenant: "acme"})
	err := queue.EnqueueAll(acme, []orchestrator.Task{
		{ID: "tidy", Type: orchestrator.CodeEditing, Timeout: time.Minute},
		{ID: "mend", Type: orchestrator.CodeEditing, Timeout: time.Minute, Priority: 10},
	})
	if err != nil {
		log.Fatal(err)
	}
	tasks, err := queue.Claim(acme, 1, "worker 1")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(tasks[0].ID, tasks[0].Attempts)

	// The first try fails and goes back to the queue, the second succeeds.
	fmt.Println(queue.Fail(acme, "mend", "no disk", true, orchestrator.Held(tasks[0])))
	tasks, err = queue.Claim(acme, 10, "worker 2")
	if err != nil {
		log.Fatal(err)
	}
	for _, t := range tasks {
		fmt.Println(t.ID, t.Attempts, queue.Complete(acme, t.ID, orchestrator.Held(t)))
	}
	stats, err := queue.Stats(acme)
	fmt.Println(stats.Completed, stats.Depth, err)
	_, err = queue.Task(tenant.NewContext(ctx, tenant.Identity{Tenant: "globex"}), "mend")
	fmt.Println(err)
	if err := app.Stop(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// mend 1
	// true <nil>
	// mend 2 <nil>
	// tidy 1 <nil>
	// 2 0 <nil>
	// orchestrator: task: task not found
}
