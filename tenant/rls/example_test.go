package rls_test

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/tenant/rls"
)

func ExampleEnable() {
	fmt.Print(rls.Enable(rls.Table{Name: "shop.orders", Column: "tenant_id", Index: true}))
	// Output:
	// alter table "shop"."orders" enable row level security;
	// alter table "shop"."orders" force row level security;
	// drop policy if exists tenant_select on "shop"."orders";
	// create policy tenant_select on "shop"."orders" for select using ("tenant_id" = nullif((select current_setting('app.current_tenant', true)), ''));
	// drop policy if exists tenant_insert on "shop"."orders";
	// create policy tenant_insert on "shop"."orders" for insert with check ("tenant_id" = nullif((select current_setting('app.current_tenant', true)), ''));
	// drop policy if exists tenant_update on "shop"."orders";
	// create policy tenant_update on "shop"."orders" for update using ("tenant_id" = nullif((select current_setting('app.current_tenant', true)), '')) with check ("tenant_id" = nullif((select current_setting('app.current_tenant', true)), ''));
	// drop policy if exists tenant_delete on "shop"."orders";
	// create policy tenant_delete on "shop"."orders" for delete using ("tenant_id" = nullif((select current_setting('app.current_tenant', true)), ''));
	// drop policy if exists tenant_shared on "shop"."orders";
	// create index if not exists "orders_tenant_id_idx" on "shop"."orders" ("tenant_id");
}

// In an application db is the *fxdb.DB or the pool that it works with.
func ExampleVerify() {
	ctx := context.Background()
	server, err := devdb.Start(ctx) // a throwaway server
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = server.Stop(ctx) }()
	admin, err := pgx.Connect(ctx, server.URL())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer admin.Close(ctx)
	db, err := pgx.Connect(ctx, server.DatabaseURL(devdb.RoleApp, "postgres"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close(ctx)

	_, err = admin.Exec(ctx, `
		create schema shop;
		create table shop.orders (tenant_id text not null, id bigint, primary key (tenant_id, id));
		grant usage on schema shop to onepool_app;
		grant select, insert, update, delete on shop.orders to onepool_app`)
	fmt.Println(err)
	report, err := rls.Verify(ctx, db)
	fmt.Println(report.OK(), err)
	for _, f := range report.Findings {
		if f.Level == rls.LevelError {
			fmt.Println(f.Code, f.Object, f.Direction)
		}
	}

	_, err = admin.Exec(ctx, rls.Enable(rls.Table{Name: "shop.orders", Column: "tenant_id"}))
	fmt.Println(err)
	report, err = rls.Verify(ctx, db)
	fmt.Println(report.OK(), err)
	// Output:
	// <nil>
	// false <nil>
	// table-rls-off shop.orders fail-open
	// <nil>
	// true <nil>
}
