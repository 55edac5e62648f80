package verification_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/modules/verification"
	"github.com/agentagency/onepool/tenant"
)

func Example() {
	var verify *verification.Client
	app := fx.New(fx.NopLogger, fxdb.Module, devdb.Module, verification.Module, fx.Populate(&verify))
	ctx := context.Background()
	if err := app.Start(ctx); err != nil {
		log.Fatal(err)
	}
	acme := tenant.NewContext(ctx, tenant.Identity{Tenant: "acme"})
	question := verification.Request{ID: "r1", Content: "the earth is round", Types: []verification.MethodType{verification.FactChecking}}
	if err := verify.SaveRequest(acme, question); err != nil {
		log.Fatal(err)
	}
	_, err := verify.SaveResult(acme, verification.Result{
		RequestID: "r1", Verdict: verification.VerifiedTrue, Confidence: 0.99,
		Supporting: []verification.Evidence{{Source: "https://example.org/globe", Content: "seen from above", Relevance: 1, Credibility: 0.9}},
		Methods:    []verification.MethodResult{{Method: verification.FactChecking, Verdict: verification.VerifiedTrue, Confidence: 0.99}},
	})
	if err != nil {
		log.Fatal(err)
	}
	result, err := verify.Result(acme, "r1")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Verdict, len(result.Supporting), *result.EvidenceQuality)

	// Whoever asks the same within the hour gets the same answer.
	if err := verify.CachePut(acme, question, result, time.Hour); err != nil {
		log.Fatal(err)
	}
	cached, found, err := verify.CacheGet(acme, verification.Request{Content: question.Content, Types: question.Types})
	fmt.Println(cached.Verdict, found, err)
	_, found, err = verify.CacheGet(tenant.NewContext(ctx, tenant.Identity{Tenant: "globex"}), question)
	fmt.Println(found, err)
	if err := app.Stop(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// verified_true 1 0.9
	// verified_true true <nil>
	// false <nil>
}
