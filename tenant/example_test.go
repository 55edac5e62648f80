package tenant_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/agentagency/onepool/tenant"
)

func ExampleMiddleware() {
	orders := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := tenant.FromContext(r.Context())
		fmt.Fprintf(w, "orders of %s", id.Tenant)
	})
	handler := tenant.Middleware(tenant.Header("X-Tenant-ID"))(orders)

	request := httptest.NewRequest(http.MethodGet, "/orders", nil)
	request.Header.Set("X-Tenant-ID", "acme")
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, request)
	fmt.Println(answer.Code, answer.Body)

	answer = httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/orders", nil))
	fmt.Println(answer.Code)
	// Output:
	// 200 orders of acme
	// 400
}

func ExampleSystem() {
	ctx := tenant.NewContext(context.Background(), tenant.Identity{Tenant: "acme"})
	ctx = tenant.System(ctx, "nightly clean-up")
	_, ok := tenant.FromContext(ctx)
	reason, _ := tenant.SystemReason(ctx)
	fmt.Println(ok, reason)
	// Output: false nightly clean-up
}

func ExampleIdentity_Validate() {
	fmt.Println(tenant.Identity{Tenant: "acme"}.Validate())
	fmt.Println(tenant.Identity{User: "ann"}.Validate())
	// Output:
	// <nil>
	// invalid identity: tenant is blank
}
