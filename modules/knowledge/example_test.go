package knowledge_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"time"

	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/modules/knowledge"
	"github.com/agentagency/onepool/tenant"
)

func Example() {
	var know *knowledge.Client
	app := fx.New(fx.NopLogger, fxdb.Module, devdb.Module, knowledge.Module, fx.Populate(&know))
	ctx := context.Background()
	if err := app.Start(ctx); err != nil {
		log.Fatal(err)
	}
	acme := tenant.NewContext(ctx, tenant.Identity{Tenant: "acme"})
	id, err := know.StoreQuery(acme, knowledge.Query{
		Text: "what is a connection pool?", Type: knowledge.Factual, MaxResults: 10, Timeout: time.Minute, RequesterID: "ada", Priority: 1,
	})
	if err != nil {
		log.Fatal(err)
	}
	result := knowledge.SearchResult{
		QueryID: id, Title: "Connection pool", Content: "A pool lends connections.", URL: "https://example.org/pool", Domain: "example.org",
		SourceType: knowledge.SourceWeb, Provider: "example",
	}
	fmt.Println(know.StoreResults(acme, []knowledge.SearchResult{result, result}))

	if err := know.CachePut(acme, "pool", json.RawMessage(`{"answer": 42}`), time.Hour, ""); err != nil {
		log.Fatal(err)
	}
	content, found, err := know.CacheGet(acme, "pool")
	fmt.Println(string(content), found, err)
	_, found, err = know.CacheGet(tenant.NewContext(ctx, tenant.Identity{Tenant: "globex"}), "pool")
	fmt.Println(found, err)

	_, err = know.PutEntry(acme, knowledge.Entry{Source: "wiki", EntityID: "1", Kind: "concept", Name: "Pool", Body: "It lends connections.", Confidence: 1})
	if err != nil {
		log.Fatal(err)
	}
	hits, err := know.SearchText(acme, "pools", knowledge.SearchOptions{})
	fmt.Println(len(hits), err)
	if err := app.Stop(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// 1 <nil>
	// {"answer": 42} true <nil>
	// false <nil>
	// 1 <nil>
}
