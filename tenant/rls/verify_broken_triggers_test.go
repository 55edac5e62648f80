package rls_test

// rowTrigger makes a trigger of shop.orders with the body.
func rowTrigger(declare, body string) string {
	return "create function shop.f() returns trigger language plpgsql as $f$ " + declare + " begin " + body + "; return new; end $f$; create trigger g after insert on shop.orders for each row execute function shop.f(); "
}

// openLog is a table that every tenant reads and writes.
const openLog = "create table shop.orders_log (what jsonb); grant select, insert on shop.orders_log to $APP; "

// sets makes a function with the body.
func sets(body string) string {
	return "create function shop.f(n text, v text, keep boolean default false) returns void language plpgsql as $f$ begin " + body + "; end $f$"
}

// brokenTriggers carry rows over in a trigger, or a tenant in a function.
var brokenTriggers = []brokenCase{
	// Tables of a built name.
	{name: "a trigger that copies to a built name", ddl: openLog + rowTrigger("", "execute format('insert into shop.%I values ($1)', tg_table_name || '_log') using to_jsonb(new)"), code: "trigger-copies", level: "warn", object: "shop.orders.g"},
	{name: "a trigger that copies to a joined name", ddl: openLog + rowTrigger("", "execute 'insert into shop.' || tg_table_name || '_log values ($1)' using to_jsonb(new)"), code: "trigger-copies", level: "warn", object: "shop.orders.g"},
	{name: "a trigger that copies to a name in a variable", ddl: openLog + rowTrigger("declare s text;", "s := 'insert into shop.orders_' || 'log values ($1)'; execute s using to_jsonb(new)"), code: "trigger-copies", level: "warn", object: "shop.orders.g"},
	{name: "a trigger that copies by another function", ddl: openLog + `create function shop.copy(name text, what jsonb) returns void language plpgsql as $f$ begin execute format('insert into shop.%I values ($1)', name) using what; end $f$;` +
		rowTrigger("", "perform shop.copy('orders' || '_log', to_jsonb(new))"), code: "trigger-copies", level: "warn", object: "shop.orders.g"},

	// Notifications.
	{name: "a trigger that notifies a row", ddl: rowTrigger("", "perform pg_notify('orders', row_to_json(new)::text)"), code: "trigger-notifies", level: "error", object: "shop.orders.g"},
	{name: "a trigger that notifies a row as text", ddl: rowTrigger("", "perform pg_notify('orders_' || new.tenant_id, new::text)"), code: "trigger-notifies", level: "error", object: "shop.orders.g"},
	{name: "a trigger that notifies a row's columns", ddl: rowTrigger("", "perform pg_notify('orders', row(new.*)::text)"), code: "trigger-notifies", level: "error", object: "shop.orders.g"},
	{name: "a trigger that notifies a row in a variable", ddl: rowTrigger("declare payload text;", "payload := to_jsonb(new)::text; perform pg_notify('orders', payload)"), code: "trigger-notifies", level: "error", object: "shop.orders.g"},
	{name: "a trigger that notifies a row by a built statement", ddl: rowTrigger("", "execute format('notify orders, %L', to_jsonb(new))"), code: "trigger-notifies", level: "error", object: "shop.orders.g"},
	{name: "a trigger that notifies a row by another function", ddl: "create function shop.announce(what text) returns void language plpgsql as $f$ begin perform pg_notify('orders', what); end $f$;" +
		rowTrigger("", "perform shop.announce(to_jsonb(new)::text)"), code: "trigger-notifies", level: "error", object: "shop.orders.g"},
	{name: "a trigger that notifies a column", ddl: rowTrigger("", "perform pg_notify('orders', new.ref)"), code: "trigger-notifies", level: "warn", object: "shop.orders.g"},
	{name: "a trigger that notifies some columns", ddl: rowTrigger("", "perform pg_notify('orders', json_build_object('id', new.id, 'total', new.total)::text)"), code: "trigger-notifies", level: "warn", object: "shop.orders.g"},

	// Settings of a built name.
	{name: "a function that sets a setting of a joined name", ddl: sets("perform set_config('app.current_' || 'tenant', v, false)"), code: "function-sets-tenant", level: "warn", object: "shop.f"},
	{name: "a function that sets a setting of a given name", ddl: sets("perform set_config(n, v, false)"), code: "function-sets-tenant", level: "warn", object: "shop.f"},
	{name: "a function that sets a setting of a formatted name", ddl: sets("perform set_config(format('%s.current_tenant', n), v, false)"), code: "function-sets-tenant", level: "warn", object: "shop.f"},
	{name: "a function that sets the tenant for as long as its caller says", ddl: sets("perform set_config('app.current_tenant', v, not keep)"), code: "function-sets-tenant", level: "warn", object: "shop.f"},
	{name: "a function that builds SET", ddl: sets("execute format('set %I.%I = %L', 'app', n, v)"), code: "function-sets-tenant", level: "warn", object: "shop.f"},
	{name: "a function that joins SET", ddl: sets("execute 'set session app.' || n || ' = ' || quote_literal(v)"), code: "function-sets-tenant", level: "warn", object: "shop.f"},
	{name: "a function that updates the settings", ddl: sets("update pg_settings set setting = v where name = n"), code: "function-sets-tenant", level: "warn", object: "shop.f"},
	{name: "a function of the standard that sets a setting of a joined name", ddl: "create function shop.f(v text) returns text language sql begin atomic select set_config('app.current_' || 'tenant', v, false); end", code: "function-sets-tenant", level: "warn", object: "shop.f"},
}
