package webnavigator_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/modules/webnavigator"
	"github.com/agentagency/onepool/tenant"
)

func Example() {
	var web *webnavigator.Client
	app := fx.New(fx.NopLogger, fxdb.Module, devdb.Module, webnavigator.Module, fx.Populate(&web))
	ctx := context.Background()
	if err := app.Start(ctx); err != nil {
		log.Fatal(err)
	}
	acme := tenant.NewContext(ctx, tenant.Identity{Tenant: "acme"})
	for range 2 {
		d, err := web.CountRequest(acme, "example.org", time.Hour, 1)
		fmt.Println(d.Count, d.Allowed, err)
	}
	const url = "https://example.org/pool"
	id, inserted, err := web.StoreContent(acme, webnavigator.Content{
		URL: url, Title: "Pool", Text: "A pool lends connections.",
		Links: []webnavigator.Link{{URL: "https://example.org/drain", Type: webnavigator.Internal}},
	})
	fmt.Println(inserted, err)
	if err := web.CachePut(acme, url, id, time.Hour); err != nil {
		log.Fatal(err)
	}
	page, found, err := web.GetByURL(acme, url)
	fmt.Println(page.Title, len(page.Links), found, err)
	_, found, err = web.GetByURL(tenant.NewContext(ctx, tenant.Identity{Tenant: "globex"}), url)
	fmt.Println(found, err)
	if err := app.Stop(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// 1 true <nil>
	// 2 false <nil>
	// true <nil>
	// Pool 1 true <nil>
	// false <nil>
}
