package sqllex_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/sqllex"
)

func TestASanitizedTextHoldsNoValue(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]string{
		"select 1": "select ?",
		"select * from t where a = $1 and b=-2.5":    "select * from t where a = $1 and b=-?",
		"insert into t values ('hunter2', E'a\\'b')": "insert into t values (?, ?)",
		"select $tag$hunter2$tag$":                   "select ?",
		"select U&'hunter2', x'ff', N'hunter2'":      "select ?, ?, N?",
		"/* hunter2 */ select 1 -- hunter2":          "select ?",
		"select\n\t a,\n b  from \"My Table\"":       `select a, b from "My Table"`,
		"select'hunter2'":                            "select?",
		"":                                           "",
	} {
		got, ok := sqllex.Sanitize(sql)
		require.True(t, ok, sql)
		require.Equal(t, want, got, sql)
	}
	for _, sql := range []string{"select 'hunter2", `select 'a\'hunter2'`, "select /* hunter2", "select $a$hunter2", `select "hunter2`} {
		got, ok := sqllex.Sanitize(sql)
		require.False(t, ok, sql)
		require.Empty(t, got, sql)
	}
}

func TestASummaryNamesTheOperationAndItsTables(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]string{
		"select 1":             "SELECT",
		"select a from orders": "SELECT orders",
		"select'hunter2'":      "SELECT",
		"/* hunter2 */ Select a from shop.orders o":                                             "SELECT shop.orders",
		"select a from orders o join items i on i.o = o.id left join \"My Users\" u using (id)": `SELECT orders items "My Users"`,
		"select a from orders where b in (select c from secrets)":                               "SELECT orders",
		"select (select max(x) from inner_one) from outer_one":                                  "SELECT outer_one",
		"select * from generate_series(1, 2)":                                                   "SELECT",
		"select * from only orders":                                                             "SELECT orders",
		"insert into orders (a) values ('hunter2')":                                             "INSERT orders",
		"insert into orders select a from carts":                                                "INSERT orders carts",
		"update only orders set a = 'from hunter2'":                                             "UPDATE orders",
		"update orders set a = b from carts":                                                    "UPDATE orders carts",
		"delete from orders using carts":                                                        "DELETE orders carts",
		"merge into orders using carts on true when matched then delete":                        "MERGE orders carts",
		"with x as (delete from a returning b) insert into orders select b from x":              "INSERT orders x",
		"with recursive x(n) as (values (1)) select n from x":                                   "SELECT x",
		"truncate table orders":                                                                 "TRUNCATE orders",
		"copy orders from stdin":                                                                "COPY orders",
		"lock table orders in share mode":                                                       "LOCK orders",
		"begin":                                                                                 "BEGIN",
		"; ; commit":                                                                            "COMMIT",
		"select 1 from a; delete from b":                                                        "SELECT a",
		"values (1)":                                                                            "VALUES",
		"(select 1)":                                                                            "SELECT",
		"create table hunter2 (a int)":                                                          "CREATE",
		"get_order":                                                                             "OTHER",
		"'hunter2'":                                                                             "OTHER",
		"with hunter2":                                                                          "OTHER",
		"":                                                                                      "",
		"select a from a1, a2":                                                                  "SELECT a1",
	} {
		require.Equal(t, want, sqllex.Summary(sql), sql)
	}
}

func FuzzSanitizedTextsLeakNothing(f *testing.F) {
	for _, sql := range []string{"select 'x'", "select $q$x$q$", "select E'\\'x'", "with a as (select 1) select 2"} {
		f.Add(sql)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		sqllex.Summary(sql)
		clean, ok := sqllex.Sanitize(sql)
		if !ok {
			return
		}
		again, ok := sqllex.Sanitize(clean)
		require.True(t, ok, "%q became %q", sql, clean)
		require.Equal(t, clean, again, "%q", sql)
	})
}
