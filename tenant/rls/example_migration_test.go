package rls_test

import (
	"fmt"
	"strings"

	"github.com/agentagency/onepool/tenant/rls"
)

func ExampleMigration() {
	sql := rls.Migration(rls.Table{Name: "shop.orders", Column: "tenant_id"})
	for line := range strings.Lines(sql) {
		if strings.HasPrefix(line, "-- +goose Up") || strings.HasPrefix(line, "-- +goose Down") {
			fmt.Print(line)
		}
	}
	// Output:
	// -- +goose Up
	// -- +goose Down
}

func ExampleCheckTables() {
	fmt.Println(rls.CheckTables(rls.Table{Name: "shop.orders"}))
	// Output: table 1: column "" of "shop.orders" is empty or has an empty part
}

// Rows of acme are visible to each tenant that acme grants access to.
func ExampleSharing() {
	sql := rls.Enable(rls.Table{
		Name: "shop.orders", Column: "tenant_id",
		Sharing: &rls.Sharing{Name: "tenancy.tenant_shares"},
	})
	fmt.Println(strings.Count(sql, "create policy"), "policies")
	// Output: 9 policies
}
