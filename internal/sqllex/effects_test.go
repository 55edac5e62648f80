package sqllex_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/sqllex"
)

// plainTexts leave nothing on their session. They are seeds of the fuzz tests too.
var plainTexts = []string{
	"", ";", " ;; -- nothing\n/* at all /* nested */ */ ;",
	// as gorm, bun, sqlc, River and pgx write them
	`SELECT * FROM "users" WHERE "users"."deleted_at" IS NULL AND name = $1 ORDER BY "users"."id" LIMIT $2`,
	`INSERT INTO "users" ("created_at","updated_at","deleted_at","name") VALUES ($1,$2,$3,$4) RETURNING "id"`,
	`INSERT INTO "users" ("id","name") VALUES ($1,$2) ON CONFLICT ("id") DO UPDATE SET "name"="excluded"."name"`,
	`UPDATE "users" SET "deleted_at"='2024-01-01 00:00:00' WHERE id = 7 AND "users"."deleted_at" IS NULL`,
	`DELETE FROM "users" AS "u" WHERE (u.id IN (SELECT id FROM gone))`,
	`WITH "_data" ("id", "name") AS (VALUES (1::BIGINT, 'a'::VARCHAR)) UPDATE "users" AS "u" SET "name" = _data.name FROM _data WHERE ("u"."id" = _data.id)`,
	"-- name: GetAuthor :one\nSELECT id, name, bio FROM authors\nWHERE id = $1 LIMIT 1",
	`WITH locked_jobs AS (SELECT * FROM river_job WHERE state = 'available' AND queue = $1 AND scheduled_at <= now()
		ORDER BY priority ASC, id ASC LIMIT $2 FOR UPDATE SKIP LOCKED)
	UPDATE river_job SET state = 'running', attempt = river_job.attempt + 1, attempted_by = array_append(river_job.attempted_by, $3)
	FROM locked_jobs WHERE river_job.id = locked_jobs.id RETURNING river_job.*`,
	"select pg_notify($1, $2)", "SELECT pg_advisory_xact_lock($1)", "select pg_try_advisory_xact_lock(1, 2)",
	"begin", "BEGIN", "begin isolation level serializable read only deferrable", "begin read write", "commit",
	"rollback", "savepoint sp_1",
	"release savepoint sp_1", "rollback to savepoint sp_1", "ROLLBACK WORK TO sp_1",
	"start transaction isolation level repeatable read", "abort", "end",
	"prepare transaction 'x'", "commit prepared 'x'", "rollback prepared 'x'",
	"select pg_catalog.set_config('app.current_tenant', $1, true), pg_catalog.set_config('role', $2, TRUE)",
	"select set_config('app.current_tenant', coalesce('a, b', lower('x')), true)",
	`select "set_config"('a.b', (select 'false'), /* local */ true)`,
	"select count(*) from pg_settings", "insert into notes select name from pg_settings",
	"update notes set a = s.setting from pg_settings s", "select 1 from t for update of pg_settings",
	"select current_user, current_setting('app.current_tenant', true)",
	// what the list has beside these
	"values (1), (2)", "table notes", "(select 1) union all (table notes) order by 1", "((select 1))",
	"( with x as (select 1) select * from x )",
	"merge into t using s on t.a = s.a when matched then update set b = s.b when not matched then insert (a, b) values (s.a, s.b)",
	"with a as (insert into t (n) values (1) returning n), b (n) as not materialized (delete from t returning n) select * from a, b",
	"with recursive r (n) as (select 1 union all select n + 1 from r where n < 9) search depth first by n set o cycle n set c to true default false using p select * from r",
	"with recursive r as (select 1 as n) cycle n, m set c using p table r",
	"with recursive as (select 1) table recursive", "with a as materialized (values (1)) insert into t table a",
	`with "insert" as (select 1), merge as (select 2) merge into t using merge on true when matched then do nothing`,
	"with a as (merge into t using s on true when matched then delete returning 1) table a",
	"explain select 1", "explain (analyze, costs off) insert into t values (1)",
	"EXPLAIN ANALYZE VERBOSE with x as (select 1) table x", "explain (select 1) union select 2",
	"explain ((select 1))",
	"explain (format json) (select 1)", "explain declare c cursor for select 1", "explain (values (1))",
	"truncate only a, b restart identity cascade", "copy t from stdin",
	"copy public.t (a, b) from stdin with (format csv) where a > 0", "COPY (select 1) TO STDOUT",
	"copy (insert into t values (1) returning a) to stdout csv",
	`copy binary "a"."b" to stdout`, "declare c cursor for select 1",
	"declare c binary no scroll insensitive cursor without hold for with x as (select 1) table x",
	"declare cursor cursor for values (1)",
	"fetch 5 from c", "fetch first in c", "move forward all in c", "close c", "close all", "show all",
	"show search_path", "lock table t in share mode nowait", "notify jobs, 'x'",
	"set local search_path = a, public", "SET LOCAL TIME ZONE 'UTC'", "set local statement_timeout to default",
	"set local schema 'x'", "set local xml option document", "set local work_mem from current",
	"set transaction read only", "set session transaction isolation level serializable",
	"set constraints all deferred", "set local transaction snapshot '1-2'", "set local app2.x = 1",
	"set local names2.x = 1",
	"create temp table t (n int) on commit drop",
	"CREATE TEMPORARY TABLE if not exists t (n int default 1, s serial) with (fillfactor = 10) ON COMMIT\nDROP tablespace x",
	"create local temp table t on commit drop as with x as (select 1 as n) select n from x",
	"explain analyze create temp table t (a) on commit drop as values (1) with no data",
	"create temp table t (like notes including all) on commit drop; insert into t table notes; select * from t",
	// what only looks like something
	"select 'x; listen secrets', $$; create temp table secrets ()$$ -- ; listen secrets",
	`select 1 as "create temp table; listen", 'it''s; set role a' /* ; set role b /* nested */ ; set role c */`,
	"select E'\\'; set role a; --', e'\\\\', U&'\\0041; set role' uescape '!', B'01', x'1F', n'; set role a'",
	"select $a$ $b$ ; set role a; $a $ $$ $a$, $_é1$;set role a$_é1$",
	"select 'a' -- x\n  ';set role a'", "select e'a'\n'\\'; set role a'", "select a$$ + $1$$;listen x$$",
	"select 1 as into, t.into, 2 as insert", "select a.set, b.do, call, begin from t as execute",
	"select body as temp from notes, (select 1 as role) set_role", "select pg_advisory_lock from t",
	"select setseed, 'set_config(1,2,false)' from dblink", "select pg_temperature, pg_temper_1 from t",
	"select x -- comment\rfrom t",
	"select 1 + - 2, 3 -/* ; set role a */- 4, @-1, a <-> b, a->'b'->>'c', a #> '{a}', b @> $1, c ?| array['a']",
	"select 1e5, 1.e5, .5, 1..2, 0x1F, 1_000, 1e",
	"select '\\\\', 'C:\\dir'", `select "a""b", "select", "--", "/*"`,
	"select ts_rewrite('a'::tsquery, 'b'::tsquery, 'c'::tsquery)",
	"select extract(epoch from now()), substring('a' from 1 for 2), overlay('a' placing 'b' from 1), trim(both from 'x'), position('a' in 'b')",
	"select json_object('a': 1), xmlelement(name a, 1), case when a then b else c end as case from t group by rollup (a), cube (b)",
	"select (select (select 1)), array(select 2), row(1, 2), a[1:2], f(variadic b) filter (where true) over (partition by c) from t, lateral (select 3) x, rows from (f(1), g(2)) tablesample system (1)",
	"select * from t left join u using (a) join v on commit cross join w", "with set as (select 1) select 1",
	"select 1 from discard, listen, prepare",
}

// taintingTexts leave something, or may.
var taintingTexts = []struct {
	sql  string
	want sqllex.Taint
}{
	// prepared statements replaced
	{"deallocate onepool_1; prepare onepool_1 (text,text,text) as select set_config('app.current_tenant','acme',true)", sqllex.Prepared},
	{"PREPARE p AS SELECT 1", sqllex.Prepared},
	{"prepare transaction as select 1", sqllex.Prepared},
	{"prepare transaction (int) as select $1", sqllex.Prepared},
	{"execute p(1)", sqllex.Prepared},
	{"explain analyze execute p", sqllex.Prepared},
	{"explain (analyze) execute p", sqllex.Prepared},
	{"create temp table t on commit drop as execute p", sqllex.Prepared},
	{"deallocate all", sqllex.Prepared},
	// temporary tables
	{"select * into pg_temp.notes from notes", sqllex.Temp | sqllex.Definition},
	{"select 1 into notes", sqllex.Temp | sqllex.Definition},
	{"(select 1 into notes) union select 2", sqllex.Temp | sqllex.Definition},
	{"((with x as (select 1) select f(1) insert into notes))", sqllex.Temp | sqllex.Definition},
	{"with x as (select 1) select f(1) insert into notes", sqllex.Temp | sqllex.Definition},
	{"select insert into notes from t", sqllex.Temp | sqllex.Definition},
	{"select 1 as insert into notes", sqllex.Temp | sqllex.Definition},
	{"select merge into notes from t", sqllex.Temp | sqllex.Definition},
	{"select 1 as into into notes", sqllex.Temp | sqllex.Definition},
	{"with insert as (select 1) select * into notes from insert", sqllex.Temp | sqllex.Definition},
	{"with x as (select 1) search depth first by insert set merge select 1 into t", sqllex.Temp | sqllex.Definition},
	{"with recursive as (select 1) select 1 into t", sqllex.Temp | sqllex.Definition},
	{"explain analyze select 1 into t", sqllex.Temp | sqllex.Definition},
	{"insert into pg_temp.notes values (1)", sqllex.Temp},
	{`select "pg_temp".f()`, sqllex.Temp},
	{"select * from PG_TEMP_3.notes", sqllex.Temp},
	{`table "pg_toast_temp_3".x`, sqllex.Temp},
	{`create table u&"pg_t\0065mp".notes ()`, sqllex.Definition | sqllex.Unreadable},
	{"set local search_path = pg_temp; create table notes (n int)", sqllex.Temp | sqllex.Definition},
	{"create temp table t (n int)", sqllex.Temp | sqllex.Definition},
	{"create temp table t (n int) on commit delete rows", sqllex.Temp | sqllex.Definition},
	{"create temp table t as select 1 as on, commit, drop from x", sqllex.Temp | sqllex.Definition},
	{"CREATE\n\tGLOBAL TEMPORARY TABLE if not exists secrets (whose text)", sqllex.Temp | sqllex.Definition},
	{"create or replace temp view v as select 1", sqllex.Temp | sqllex.Definition},
	{"create temp sequence s", sqllex.Temp | sqllex.Definition},
	{"create temp recursive view v (n) as select 1", sqllex.Temp | sqllex.Definition},
	{"explain analyze create temp table t as select 1", sqllex.Temp | sqllex.Definition},
	// settings
	{"set app.current_tenant = 'acme'", sqllex.Settings},
	{`set "app"."current_tenant" = 'acme'`, sqllex.Settings},
	{"set /* who */ work_mem = '4MB'", sqllex.Settings},
	{"SET\n SESSION App . Current_Tenant TO 'acme'", sqllex.Settings},
	{"set client_encoding = 'LATIN1'", sqllex.Settings},
	{"set names 'LATIN1'", sqllex.Settings},
	{"set time zone 'UTC'", sqllex.Settings},
	{"set schema 'x'", sqllex.Settings},
	{"set session characteristics as transaction read only", sqllex.Settings},
	{"set local session characteristics as transaction read only", sqllex.Settings},
	{"set transaction.x = 1", sqllex.Settings},
	{"set constraints.x = 1", sqllex.Settings},
	{"set local.x = 1", sqllex.Settings},
	{"set local to 1", sqllex.Settings},
	{"set session.x = 1", sqllex.Settings},
	{"set local app.current_tenant = 'acme'", sqllex.Settings},
	{`set local "APP.current_tenant" = 'acme'`, sqllex.Settings},
	{"set local row_security = off", sqllex.Settings},
	{"set local standard_conforming_strings = off", sqllex.Settings},
	{"set local names 'LATIN1'", sqllex.Settings},
	{`set local u&"rol\0065" = a`, sqllex.Unreadable},
	{"set role a", sqllex.Role},
	{"set session role a", sqllex.Role},
	{"set local role a", sqllex.Role},
	{`set local "ROLE" = a`, sqllex.Role},
	{"set local session authorization a", sqllex.Role},
	{"set session authorization a", sqllex.Role},
	{"set session session authorization default", sqllex.Role},
	{"reset role", sqllex.Role | sqllex.Settings},
	{`reset "role"`, sqllex.Role | sqllex.Settings},
	{"reset session authorization", sqllex.Role | sqllex.Settings},
	{"reset all", sqllex.Settings},
	{"set seed = 0.5", sqllex.Seed | sqllex.Settings},
	{"set local seed = 0.5", sqllex.Seed},
	{"select setseed(0.5)", sqllex.Seed},
	{"update pg_settings set setting = 'x' where name = 'search_path'", sqllex.Settings},
	{`with x as (update only (pg_catalog . "pg_settings") as s set setting = 'x' returning 1) table x`, sqllex.Settings},
	{"update postgres.pg_catalog.pg_settings set setting = 'x'", sqllex.Settings},
	{"insert into pg_settings values (1)", sqllex.Settings},
	{"merge into pg_catalog.pg_settings using s on true when matched then do nothing", sqllex.Settings},
	{`update u&"pg_s\0065ttings" set setting = 1`, sqllex.Unreadable},
	{"select set_config('search_path', 'a', false)", sqllex.Settings},
	{"select pg_catalog.SET_CONFIG('role', 'a', false)", sqllex.Role},
	{"select set_config($1, $2, $3)", sqllex.Settings | sqllex.Role | sqllex.Seed},
	{"select set_config('ro' || 'le', 'a', false)", sqllex.Settings | sqllex.Role | sqllex.Seed},
	{"select set_config($1, $2, true)", sqllex.Seed},
	{"select set_config('seed', '0.5', true)", sqllex.Seed},
	{"select set_config('Client_Encoding', 'SJIS', true)", sqllex.Settings},
	{"select set_config('standard_conforming_strings', 'off', true)", sqllex.Settings},
	{"select set_config('backslash_quote', 'on', true)", sqllex.Settings},
	{"select set_config('a.b', 'c', true = false)", sqllex.Settings},
	{"select set_config('a.b', 'c', (true))", sqllex.Settings},
	{"select set_config('a.b', 'c', 'true')", sqllex.Settings},
	{`select set_config('a.b', 'c', "true") from t`, sqllex.Settings},
	{"select set_config('a.b', 'c')", sqllex.Settings},
	{`select "set_config" /* x */ ('a.b', 'c', false)`, sqllex.Settings},
	{`select u&"set_config"('a.b', 'c', false)`, sqllex.Unreadable},
	{"explain analyze select set_config('a.b', 'c', false)", sqllex.Settings},
	{"declare c cursor for select set_config('a.b', 'c', false)", sqllex.Settings},
	{"copy (select set_config('a.b', 'c', false)) to stdout", sqllex.Settings},
	{"insert into t select set_config('a.b', 'c', false)", sqllex.Settings},
	{"delete from t where set_config('a.b', 'c', false) = '' or true returning set_config('a.b', 'd', true)", sqllex.Settings},
	{"select * from set_config('a.b', 'c', false)", sqllex.Settings},
	{"select set_config('a.b', 'c', true), set_config('a.b', 'c', set_config('a.b', 'd', false) = 'd')", sqllex.Settings},
	{"select set_limit(0.1)", sqllex.Settings},
	{"alter role current_user set search_path = a", sqllex.Definition},
	// the rest of the session
	{"listen jobs", sqllex.Listen},
	{"unlisten *", sqllex.Listen},
	{"select pg_advisory_lock(1)", sqllex.AdvisoryLock},
	{`select pg_catalog . "pg_try_advisory_lock_shared"(1, 2)`, sqllex.AdvisoryLock},
	{"SELECT PG_ADVISORY_UNLOCK_ALL()", sqllex.AdvisoryLock},
	{"declare c cursor with hold for select 1", sqllex.Cursor},
	{"DECLARE c INSENSITIVE SCROLL CURSOR\nWITH HOLD FOR SELECT 1", sqllex.Cursor},
	{"declare c cursor", sqllex.Unknown},
	{"discard all", sqllex.Discard},
	{"discard temp", sqllex.Discard},
	{"load 'x'", sqllex.Library},
	// texts that are run unseen
	{"do $$ begin execute 'set …'; end $$", sqllex.DoBlock},
	{"do language plpgsql 'begin set role a; end'", sqllex.DoBlock},
	{"CALL work(1)", sqllex.Procedure},
	{"call work(); do 'begin end'", sqllex.Procedure | sqllex.DoBlock},
	// a name of another escape is one token
	{`with u&"d!0061t" uescape '!' as (select 1) select 1`, sqllex.Unreadable},
	{`with u&"a" /* x */ UESCAPE -- y
		'!' (n), b as (select 1) select 1`, sqllex.Unreadable | sqllex.Unknown},
	{`select u&"a" 'x' ; set role a`, sqllex.Unreadable | sqllex.Role},
	{`select u&'a' uescape u&'!' ; set role a`, sqllex.Role},
	{`with a as (select 1), u&"b" uescape '!' (n) as (select 1) insert into t select 1`, sqllex.Unreadable},
	{`copy u&"t" uescape '!' (a) from stdin`, sqllex.Unreadable},
	{`declare u&"c" uescape '!' cursor for select 1`, sqllex.Unreadable},
	{`set local u&"rol!0065" uescape '!' = a`, sqllex.Unreadable},
	{`select u&"a" uescape; set role a`, sqllex.Unreadable | sqllex.Role},
	{`select U&'a' uescape '!' ; set role a`, sqllex.Role},
	{`select U&'a' uescape 'x; set role a`, sqllex.Unreadable},
	{"select query_to_xml('select 1', true, true, '')", sqllex.Function},
	{"select table_to_xml('t', true, true, '')", sqllex.Function},
	{"select * from ts_stat('select 1')", sqllex.Function},
	{"select ts_rewrite('a'::tsquery, 'select 1')", sqllex.Function},
	{"select dblink_connect('x')", sqllex.Function},
	{"select * from crosstab('select 1') as (a int)", sqllex.Function},
	{"copy t from program 'x'", sqllex.File},
	{"copy t to '/tmp/x'", sqllex.File},
	{"copy (select 1) to program 'x'", sqllex.File},
	{"copy t from $$x$$", sqllex.File},
	// definitions
	{"create table t (n int)", sqllex.Definition},
	{"explain analyze create table t as select 1", sqllex.Definition},
	{"vacuum", sqllex.Definition},
	{"grant a to b", sqllex.Definition},
	{"create function f() returns int begin atomic select 1; select case when true then 1 end as end; end", sqllex.Definition},
	// texts that read in more than one way, or in none
	{`select '\' , '; set role a; set search_path = notes --'`, sqllex.Ambiguous},
	{`select 'a''\\\'`, sqllex.Ambiguous},
	{`select * from t where a like $1 escape '\'`, sqllex.Ambiguous},
	{"select 'a", sqllex.Unreadable},
	{`select "a`, sqllex.Unreadable},
	{"select $a$ $b$", sqllex.Unreadable},
	{"select /* /* */", sqllex.Unreadable},
	{"select e'\\'", sqllex.Unreadable},
	{"select 1\x00; set role a", sqllex.Unreadable},
	{strings.Repeat(" ", sqllex.MaxText) + "x", sqllex.Unreadable},
	{"select " + strings.Repeat("(", 20_000), sqllex.Unreadable},
	{"selec 1", sqllex.Unknown},
	{"explain vacuum", sqllex.Unknown},
	{"explain set role a", sqllex.Unknown},
	{"with x as (select 1) set role a", sqllex.Unknown},
	{"with x (select 1) select 1", sqllex.Unknown},
	{"insert t values (1)", sqllex.Unknown},
	{"1", sqllex.Unknown},
	{`"select" 1`, sqllex.Unknown},
	// behind another
	{"select 1; listen x", sqllex.Listen},
	{"select '--';;\n-- x\n/* ; */ set role a", sqllex.Role},
	{"select 1 -- x\r; set role a", sqllex.Role},
	{"select $$ ' $$; set role a; --'", sqllex.Role},
	{"select $1$$'$$; set role a; --'", sqllex.Role},
	{"select a /*/**/*/; set role a", sqllex.Role},
	{"select 'a'/**/\n; set role b; --'", sqllex.Role},
	{"select b'0''\n1'; set role a; --'", sqllex.Role},
	{"create function f() returns int language sql as 'select 1'; set role a", sqllex.Role | sqllex.Definition},
	{"create function begin(a begin) returns int language sql as $$select 1$$; set role a; end", sqllex.Role | sqllex.Definition},
	{"create rule r as on insert to t do also (select 1; select 2); set role a", sqllex.Role | sqllex.Definition},
	{"select (1; set role a", sqllex.Role},
}

func TestATextThatLeavesNothingIsPlain(t *testing.T) {
	t.Parallel()
	for _, sql := range plainTexts {
		require.Equal(t, sqllex.Taint(0), sqllex.Classify(sql).Taint, sql)
	}
}

func TestATextThatMayLeaveSomethingTaints(t *testing.T) {
	t.Parallel()
	for _, c := range taintingTexts {
		sql := c.sql
		if len(sql) > 200 {
			sql = sql[:200] + "..."
		}
		require.Equal(t, c.want.String(), sqllex.Classify(c.sql).Taint.String(), sql)
	}
}

func TestATextSaysWhetherItEndsItsTransaction(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{
		"select 1; commit; insert into t values (1)", "begin", "start transaction", "end", "abort", "rollback",
		"ROLLBACK WORK", "commit and chain", "rollback and chain",
		"prepare transaction 'x'", "commit prepared 'x'", "rollback prepared 'x'", "/* x */commit",
		"select 1;;end transaction", "select 'a", "x\x00", strings.Repeat("x", sqllex.MaxText+1),
		"create function begin(a begin) returns int language sql as $$select 1$$; end",
		"create function f(begin atomic) returns int language sql as $$select 1$$; end",
		"create function f() returns int begin atomic select 1; end; end",
	} {
		require.True(t, sqllex.Classify(sql).EndsScope, sql[:min(len(sql), 100)])
	}
	for _, sql := range []string{
		"savepoint a", "release a", "rollback to a", "rollback to savepoint a", "rollback transaction to a",
		"set transaction read only", "set constraints all immediate",
		"prepare transaction as select 1", "select 'commit'", "select 1 as commit", "call f()",
		"do $$ begin commit; end $$", "select 1; select begin from t", "create table commit (n int)",
		"create function f() returns int begin atomic select 1; select 2 as begin; end",
		"create or replace procedure f() begin atomic create function g() returns int begin atomic select case 1 when 1 then 2 end; end; select 1; end; select 1",
		"create rule r as on insert to t do also (select 1; notify x)", `select 1 from t where a like $1 escape '\'`,
	} {
		require.False(t, sqllex.Classify(sql).EndsScope, sql)
	}
}

func TestATextThatSetsWhoItsTransactionIs(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{
		"set local role a", "SET LOCAL App.Current_Tenant TO 'a'", `set local "app.current_user" = 'a'`,
		"set local session authorization a", "set local row_security = off", "set local names 'LATIN1'",
		"set local client_encoding = 'LATIN1'", "set local standard_conforming_strings to off",
		"set local backslash_quote = on", `set local u&"rol\0065" = a`,
		"select 1; set local session_authorization = a",
		"set role a", "set role none", "reset role", "set session role = a", "set session authorization default", "reset session authorization",
		"set app.current_tenant = 'a'", `set session "app.current_tenant" to 'a'`, "reset App.Current_Tenant", `reset "app.current_tenant"`, "reset all",
		`reset u&"rol\0065"`, "set names 'LATIN1'", "select 1; reset role; select 2", "select set_config('app.current_tenant', 'a', false)",
		"update pg_settings set setting = 'a' where name = 'role'",
	} {
		v := sqllex.Classify(sql)
		require.True(t, v.SetsGuarded, sql)
		require.False(t, v.Plain(), sql)
	}
	for _, sql := range []string{
		"select set_config('role', 'a', true)", "select set_config('App.Current_Tenant', $1, true)",
		"insert into t select pg_catalog . set_config ( 'app.current_user' , a, b) from t",
		"select set_config($1, 'a', true)", "select set_config('ro' || 'le', 'a', true)", "select set_config('role'::text, 'a', true)",
		"select set_config(E'role', 'a', true)", "select set_config($$role$$, 'a', true)", "select set_config(('role'), 'a', true)",
	} {
		require.True(t, sqllex.Classify(sql).SetsGuarded, sql)
	}
	for _, sql := range []string{
		"set local search_path = a", "set local work_mem = '1MB'", "set local application_name = 'role'", "set local.role = a",
		"set search_path = a", "reset search_path", "reset time zone", "set session characteristics as transaction read only", "set transaction read only",
		"select set_config('search_path', 'a', true)", "select name from pg_settings",
		"alter role a set role = b", "select 'set role a'",
	} {
		require.False(t, sqllex.Classify(sql).SetsGuarded, sql)
	}
}

func TestATextSaysWhetherItMayRunInATransaction(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{
		"vacuum", "vacuum (full) t", "create database a", "drop database if exists a",
		"create tablespace a location 'x'", "drop tablespace a", "alter system set a = 1",
		"create subscription a connection 'x' publication b",
		"create unique index concurrently on t (n)", "drop index concurrently i",
		"reindex (verbose) index concurrently i", "reindex (concurrently) table t", "reindex system",
		"reindex database a", "reindex schema a",
		"alter table t detach partition p concurrently", "alter database a set tablespace b", "discard all",
		"cluster", "cluster verbose", "commit prepared 'x'", "select 1; vacuum",
	} {
		require.True(t, sqllex.Classify(sql).Alone, sql)
	}
	for _, sql := range []string{
		"select 1", "analyze", "create index on t (n)", "drop index i", "reindex table t",
		"refresh materialized view concurrently v", "alter database a set work_mem = '1MB'",
		"alter table t set tablespace a",
		"discard temp", "cluster t", "call f()", "do 'x'", "create table concurrently_ (n int)", "commit",
		"alter table t add column concurrently int",
	} {
		require.False(t, sqllex.Classify(sql).Alone, sql)
	}
}

func TestStatementsAreCountedAndNamed(t *testing.T) {
	t.Parallel()
	all := sqllex.Statements(" ;; select ';' ; begin;\n create function f() returns int begin atomic select 1; select 2; end; (values (1)) -- x\n")
	require.Equal(t, []sqllex.Statement{
		{Kind: sqllex.KindSelect, Text: "select ';'"},
		{Kind: sqllex.KindControl, Text: "begin"},
		{Kind: sqllex.KindDefine, Taint: sqllex.Definition, Text: "create function f() returns int begin atomic select 1; select 2; end"},
		{Kind: sqllex.KindSelect, Text: "(values (1))"},
	}, all)
	for sql, kind := range map[string]sqllex.Kind{
		`with u&"d!0061t" uescape '!' as (select 1) delete from t`:                           sqllex.KindDelete,
		`with a as (select 1) cycle u&"n" uescape '!' set c using u&"p" uescape '!' table a`: sqllex.KindSelect,
		`with u&"d\0061t" as (select 1) insert into t select 1`:                              sqllex.KindInsert,
	} {
		require.Equal(t, []sqllex.Statement{{Kind: kind, Taint: sqllex.Unreadable, Text: sql}}, sqllex.Statements(sql))
	}
	require.Equal(t, 4, sqllex.Classify("a;b;c;d").Statements)
	require.Equal(t, 2, sqllex.Classify("a;b").Statements)
	require.Equal(t, 1, sqllex.Classify("a;").Statements)
}

func TestClassifyAllocatesNothing(t *testing.T) {
	for _, sql := range plainTexts {
		require.Zero(t, testing.AllocsPerRun(10, func() { sqllex.Classify(sql) }), sql)
	}
}

func BenchmarkClassify(b *testing.B) {
	for name, sql := range map[string]string{
		"select": "select tenant_id, body, created_at from notes.notes where id = $1 and body like $2 order by created_at desc limit 10",
		"1 MB": "insert into t values ('" + strings.Repeat("x",
			60) + "')" + strings.Repeat(", ($1, 'abc', now(), 12.5)", 1_000_000/26),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(sql)))
			for b.Loop() {
				sqllex.Classify(sql)
			}
		})
	}
}
