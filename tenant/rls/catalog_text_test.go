package rls

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReadSQLSeesHowASettingIsRead(t *testing.T) {
	t.Parallel()
	const name = "app.current_tenant"
	for _, c := range []struct {
		sql  string
		want []settingRead
	}{
		{"(tenant_id = NULLIF(( SELECT current_setting('app.current_tenant'::text, true) AS current_setting), ''::text))", []settingRead{{name, true, true, true}}},
		{"(tenant_id = ( SELECT (NULLIF(current_setting('app.current_tenant'::text, true), ''::text))::uuid AS \"nullif\"))", []settingRead{{name, true, true, true}}},
		{"(tenant_id = current_setting('App.Current_Tenant'::text))", []settingRead{{name, false, false, false}}},
		{"select 'current_setting(''x'')' -- current_setting('y')\n /* current_setting('z') */", nil},
		{"pg_catalog.current_setting(E'app.current_tenant', true)", []settingRead{{name, true, false, false}}},
		{"current_setting(name)", nil},
	} {
		require.Equal(t, c.want, readSQL(c.sql).reads, c.sql)
	}
}

func TestReadSQLSeparatesWordsFromLiterals(t *testing.T) {
	t.Parallel()
	require.True(t, readSQL("(owner = CURRENT_USER)").asksForRole())
	require.False(t, readSQL("current_setting('app.current_user', true)").asksForRole())
	require.True(t, readSQL("((true))").isTrue())
	require.False(t, readSQL("(flag = true)").isTrue())
	require.True(t, readSQL("((tenant_id)::text = 'x')").casts("tenant_id", ""))
	require.False(t, readSQL("(tenant_id = ('x'::text)::uuid)").casts("tenant_id", ""))
	require.False(t, readSQL("((tenant_id)::text = 'x')").casts("tenant_id", "text"))
	require.True(t, readSQL("((tenant_id)::text = 'x')").casts("tenant_id", "uuid"))
	require.True(t, readSQL("from shop.orders o").names("orders"))
	require.False(t, readSQL("from shop.reorders, 'orders'").names("orders"))
}

func TestNamesInABody(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string][]named{
		"orders":                {{"", "orders"}},
		"shop.orders":           {{"shop", "orders"}},
		`"shop" . "or""ders"`:   {{"shop", `or"ders`}},
		"db.shop.orders":        {{"db", "shop"}, {"shop", "orders"}},
		`"a.b".c, d`:            {{"a.b", "c"}, {"", "d"}},
		"ämter":                 {{"", "ämter"}},
		"'' (1) -> $1":          nil,
		"o.total::shop.amount1": {{"o", "total"}, {"shop", "amount1"}},
	} {
		require.Equal(t, want, namesIn(sql), sql)
	}
}

func TestAFunctionThatLeavesATenant(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]bool{
		"perform set_config('app.current_tenant', t, false)":                       true,
		"PERFORM SET_CONFIG( 'App.Current_Tenant' , coalesce(t, ''), false );":     true,
		"set app.current_tenant = 'acme'":                                          true,
		"begin SET SESSION app.current_tenant TO 'acme'":                           true,
		"set local app.current_tenant = 'acme'":                                    false,
		"perform set_config('app.current_tenant', t, true)":                        false,
		"perform set_config('app.current_tenant', t, true); x := f(1, false);":     false,
		"update t set tenant = current_setting('app.current_tenant')":              false,
		"perform set_config('app.current_tenants', t, false)":                      false,
		"perform set_config('app.current_tenant', t, is_local => false)":           true,
		"perform set_config('app.current_user', t, false); reset app.current_user": false,
	} {
		require.Equal(t, want, setsTenantForSession(sql), sql)
	}
}

func FuzzReadSQL(f *testing.F) {
	for _, s := range []string{"", "'", "(((", ")))", "E'\\", "--", "/*", "current_setting('", "current_setting('')", "İ('ß')", "\"a\"\"(b)"} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, s string) {
		text := readSQL(s) // whatever a catalog holds, it must not panic
		text.asksForRole()
		text.isTrue()
		text.casts(s, "")
		text.names(s)
		namesIn(text.code)
		quoted(s)
		setsTenantForSession(s)
		withAssigned(s, s)
		(&function{Language: "plpgsql", Source: s}).buildsStatements()
	})
}
