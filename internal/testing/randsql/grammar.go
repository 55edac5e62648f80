package randsql

import "strings"

// grammar has the forms of each rule, with " | " between two forms. <name> stands for
// another rule, and every other word is a token. A form that stands twice is taken twice
// as often. [Schema] makes the objects.
var grammar = parseGrammar(`
text: <statement> | <statement> | <statement> ; <statement> | <statement> ; <statement> ;
	| ; <statement> ; ; <statement> ; <statement>

statement: <query> | <query> | <query> | <query> | <change> | <change> | <change> | <explain> | <cursor> | <copy>
	| <control>
	| <dropped> | <dropped> | <session> | <session> | <temporary> | <definition> | <trick> | <trick> | <trick>
	| <harmless>

query: select <targets> | select <targets> from <from> <where> | select <targets> from <from> <where> <tail>
	| ( <query> ) | ( <query> ) union all ( <query> ) | select <expr> union select <expr>
	| values ( <expr> ) , ( <expr> ) | table notes | with <ctes> <query>
	| select distinct on ( 1 ) <targets> from <from> | select <string> as g from <from> group by rollup ( 1 )
	| select * from <from> <tail>
ctes: <cte> | <cte> | <cte> , <cte> | recursive r ( n ) as ( select 1 union all select n + 1 from r where n < 3 )
	| recursive r as ( select 1 as n ) search depth first by n set o
	| recursive r as ( select 1 as n ) cycle n set c using p
	| recursive r as ( select 1 as n ) cycle n set c to true default false using p | recursive as ( select 1 )
cte: <ctename> as ( <query> ) | <ctename> ( n ) as materialized ( select 1 )
	| <ctename> as not materialized ( <query> ) | <ctename> as ( <change> returning 1 )
	| <ctename> as ( with <cte> <query> )
ctename: a | b | insert | set | merge | "select" | update | x1 | search | commit | temp | prepare
	| u&"d!0061t" uescape '!'
targets: <target> | <target> | <target> , <target>
target: <expr> | <expr> | <expr> as <label> | <expr> as <label>
label: a | into | insert | select | "into" | set | commit | drop | case | end | temp
from: notes | notes n | only notes | "notes" as "n" | public . notes | ( <query> ) q | notes n join notes m on true
	| notes n left join notes m using ( id ) | generate_series ( 1 , 2 ) g
	| notes n cross join lateral ( <query> ) q | rows from ( generate_series ( 1 , 2 ) , generate_series ( 1 , 3 ) )
	| pg_settings | pg_catalog . pg_settings s | set_config ( <config> , <local> )
where: where true | where <expr> is not null | where id = 1 | where id in ( <query> ) | where exists ( <query> ) |
tail: order by 1 | limit 1 | for update | for update of notes nowait | for share skip locked
	| offset 0 rows fetch first 1 rows only | order by 1 desc nulls last limit 2
expr: 1 | <string> | <string> | <number> | null | ( <expr> ) | ( <query> ) | <call> | <call> | <expr> :: text
	| cast ( <expr> as text ) | case when true then <expr> else <expr> end | array [ <number> ] | - 1 | 1 + - 1
	| exists ( <query> ) | <string> || <string> | not true | row ( <expr> , <expr> ) | current_user | "id" | 5 % - 2
	| @ - 1 | 1 operator ( pg_catalog . + ) 2
call: lower ( <string> ) | now ( ) | count ( * ) | coalesce ( <expr> , <expr> ) | set_config ( <config> , <local> )
	| <schema> set_config ( <config> , <local> ) | pg_advisory_xact_lock ( 7 ) | pg_advisory_lock ( 7 )
	| pg_try_advisory_lock ( 7 , 8 ) | random ( ) | nextval ( <lit:counter> ) | pg_notify ( <lit:jobs> , <string> )
	| query_to_xml ( <run> , true , true , <lit:> ) | harmless ( ) | extract ( year from now ( ) )
	| ts_rewrite ( to_tsquery ( <lit:a> ) , <lit:select 'a'::tsquery, 'b'::tsquery> )
	| current_setting ( <lit:work_mem> ) | substring ( <string> from 1 for 2 ) | max ( id ) over ( )
	| "set_config" ( <config> , <local> )
schema: pg_catalog . | "pg_catalog" .
config: <lit:work_mem> , <lit:2MB> | <lit:search_path> , <lit:other> | <lit:app.current_tenant> , <lit:acme>
	| <lit:role> , <lit:sqllex_other> | <lit:DateStyle> , <lit:sql> | <lit:statement_timeout> , <lit:9999>
	| <lit:work> || <lit:_mem> , <lit:3MB> | <lit:client_encoding> , <lit:UTF8>
local: true | true | TRUE | true | false | <lit:t> | ( true ) | true and true | not true | 'false' | true = false
	| 1 = 1 | $$on$$
run: <lit:select 1> | <lit:select set_config('work_mem', '5MB', false)> | <lit:select pg_advisory_lock(9)>

change: insert into notes ( body ) values ( <expr> :: text )
	| insert into notes as n ( body ) <textquery> on conflict do nothing | insert into notes default values
	| with <ctes> insert into notes ( body ) <textquery>
	| update notes set body = <expr> :: text <where> | update only notes n set body = default <where>
	| with <cte> update notes set body = <string> | delete from notes <where>
	| delete from only notes using notes m where false
	| update pg_settings set setting = <lit:3MB> where name = <lit:work_mem>
	| update pg_catalog . pg_settings set setting = <lit:4MB> where name = <lit:work_mem>
	| update "pg_settings" as s set setting = <lit:6MB> where name = <lit:work_mem>
	| insert into notes ( body ) values ( <string> ) , ( <string> ) on conflict ( id ) do update set body = excluded . body
	| update notes set body = s . setting from pg_settings s where s . name = <lit:work_mem>
textquery: select <string> | values ( <string> ) | table texts | ( select <string> )
	| select body from notes where false
explain: explain <explained> | explain analyze <explained> | explain ( costs off ) <explained>
	| explain ( analyze , timing off ) <explained> | explain verbose <explained>
	| explain ( analyze true ) <explained>
explained: <query> | <query> | <change> | ( <query> ) | create temp table made as <query>
	| create table made as <query> | create temp table made on commit drop as <query> | execute p
	| declare c cursor with hold for select 1
cursor: declare c cursor for <query> | declare c scroll cursor for <query> | declare c cursor with hold for <query>
	| declare c no scroll cursor without hold for <query> | declare cursor cursor with hold for values ( 1 )
	| declare c cursor for <query> ; fetch all in c | declare c cursor for <query> ; move 1 in c ; close c | close all
	| declare "c" insensitive cursor with hold for table notes
copy: copy ( <query> ) to stdout | copy notes to stdout | copy notes ( body ) to stdout with ( format csv )
	| copy ( <change> returning 1 ) to stdout | copy public . notes to stdout csv header
	| copy ( select 1 ) to <lit:/dev/null>
control: begin | commit | rollback | savepoint s | savepoint s ; release s | savepoint s ; rollback to savepoint s
	| savepoint s ; rollback transaction to s | commit and chain | rollback and chain | abort | end | begin ; commit
	| start transaction read only | begin isolation level serializable | commit work
	| begin ; select 1 ; end transaction
dropped: create temp table made ( a int ) on commit drop | create temporary table made on commit drop as <query>
	| create local temp table made ( a int default 1 , s serial ) on commit drop
	| create temp table if not exists made ( like notes including all ) on commit drop
	| create temp table made ( a int ) on commit drop ; insert into made values ( 1 ) ; select * from made
	| create temp table made with ( fillfactor = 50 ) on commit drop as <query>
session: set work_mem = <lit:2MB> | set session search_path to other , public | set role sqllex_other
	| set session authorization sqllex_other | set session characteristics as transaction read only | reset role
	| reset all
	| set app . current_tenant = <lit:acme> | set "app.current_tenant" to <lit:acme> | listen jobs | unlisten *
	| prepare p as select 1 | prepare transaction as select 1 | deallocate all | discard temp | discard all
	| execute p
	| set names <lit:LATIN1> | set client_encoding to latin1 | set time zone <lit:PST8PDT> | set schema <lit:other>
	| set datestyle = sql | set default_transaction_read_only = on | set seed = 0.5
	| set standard_conforming_strings = off
	| set <set> | set session <set> | do <body> | do language plpgsql <body> | call work ( )
	| select pg_advisory_lock ( 1 ) | set session session authorization sqllex_other | set xml option document
	| set statement_timeout = 9999
body: <lit:begin perform set_config('work_mem', '7MB', false); end>
	| <lit:begin execute 'set work_mem = ''8MB'''; end> | <lit:begin null; end>
	| <lit:begin create temp table made (a int); end>
set: work_mem = <lit:2MB> | transaction . x = 1 | constraints . x = 1 | local . x = 1 | session . x = 1 | local to 1
	| transaction read only | lock_timeout from current
harmless: show all | show work_mem | lock table notes | lock table only notes in share mode nowait | notify jobs
	| notify jobs , <string> | truncate scratch | truncate only scratch restart identity
	| set constraints all deferred
	| set transaction read only | set transaction isolation level repeatable read | set session transaction read only
	| show time zone | values ( 1 )
temporary: create temp table made ( a int ) | create temp table made as <query>
	| create temp table made ( a int ) on commit delete rows | create temp view made as <query>
	| create temp sequence made | select <targets> into temp made from <from>
	| select 1 as a into pg_temp . made | create table pg_temp . made ( a int )
	| create function pg_temp . made ( ) returns int language sql as <lit:select 1>
	| create table "pg_temp" . made ( ) | with <ctes> select 1 into temp made
	| select 1 into temporary table made | ( select 1 into temp made ) | ( ( select 1 into temp made from notes ) )
	| create or replace temp view made as select 1 | create temporary table if not exists made ( a int )
	| set local search_path = pg_temp ; create table made ( a int )
	| set local search_path = pg_temp ; select 1 into made
	| create global temp table made on commit preserve rows as <query> | create type pg_temp . made as ( a int )
definition: create table made ( a int ) | create table if not exists made as <query>
	| select <targets> into made from <from> | analyze notes | comment on table notes is <string>
	| grant select on notes to public | alter table notes alter body set default <string>
	| create function made ( ) returns int language sql begin atomic select 1 ; select case 1 when 1 then 2 end as end ; end
	| create or replace procedure made ( ) begin atomic insert into notes default values ; end
	| create or replace view made as <query>
	| create rule made as on insert to scratch do also ( select 1 ; notify jobs )
	| create function made ( begin int ) returns int language sql as <lit:select 1> | vacuum notes
	| create index on scratch ( a ) | create index concurrently on scratch ( a )
	| create or replace function made ( begin text , atomic text ) returns int language plpgsql set work_mem = <lit:2MB> as <lit:begin return 1; end>
	| reindex table scratch | refresh materialized view concurrently mv | drop table if exists made
trick: select insert into temp made from <tricky> | select merge into temp made from <tricky>
	| with x as ( select 1 ) select lower ( <string> ) insert into temp made | select 1 as insert into temp made
	| select 1 as into into temp made | select tricky . into from tricky
	| select tricky . into into temp made from tricky
	| with insert as ( select 1 ) select * into temp made from insert
	| with recursive as ( select 1 ) select 1 into temp made
	| with recursive r as ( select 1 as insert , 2 as merge ) search depth first by insert , merge set o select 1 into temp made
	| ( with x as ( select 1 ) select lower ( <string> ) insert into temp made ) | select 1 begin | select 1 commit
	| select 1 as listen | select commit . id from notes commit | select $$ ; set work_mem = '2MB' ; $$
	| select <splice>
	| explain analyze select 1 into temp made | select 1 / * 2 | prepare p as select <splice>
	| select 1 as set , 2 as role | set local <set> | set local <set> | set local work_mem = <lit:2MB>
	| set local search_path = other , pg_temp | set local app . current_tenant = <lit:acme>
	| set local role sqllex_other | set local session authorization sqllex_other | set local time zone <lit:UTC>
	| set local role to none | set local "Role" = sqllex_other | set local row_security = off
	| set local standard_conforming_strings = off | set local client_encoding = latin1
	| set local datestyle = sql | set local session_replication_role = replica | set local transaction read only
	| set local transaction_read_only = on | set local default_transaction_read_only = on
	| set local schema <lit:other> | set local xml option document
	| select <string> ; set work_mem = <lit:9MB> | <splice> | select 1 -- <splice>
	| create temp table made ( a int ) on commit drop ; alter table made rename to made2
	| create temp table made ( a int ) on commit drop ; create index on made ( a )
	| begin ; create temp table made ( a int ) on commit drop ; commit
	| declare c cursor with hold for select 1 ; commit
	| select set_config ( <lit:work_mem> , <lit:9MB> , true ) , set_config ( <lit:work_mem> , <lit:9MB> , set_config ( <lit:a.b> , <lit:c> , true ) = <lit:d> )
tricky: tricky
`)

// parseGrammar reads rules: name: form | form. A tab continues the rule of the line above.
func parseGrammar(source string) map[string][][]string {
	rules := make(map[string][][]string)
	name := ""
	for line := range strings.Lines(source) {
		if line = strings.TrimRight(line, "\n"); line == "" {
			continue
		}
		if line[0] != '\t' {
			var forms string
			name, forms, _ = strings.Cut(line, ":")
			line = forms
		} else {
			line = strings.TrimPrefix(strings.TrimSpace(line), "|")
		}
		for form := range strings.SplitSeq(line+" ", " | ") {
			rules[name] = append(rules[name], tokens(form))
		}
	}
	return rules
}

// tokens splits a form at the spaces outside <lit:...>.
func tokens(form string) (all []string) {
	for form = strings.TrimSpace(form); form != ""; form = strings.TrimLeft(form, " ") {
		n := strings.IndexByte(form, ' ')
		if strings.HasPrefix(form, "<lit:") {
			n = strings.IndexByte(form, '>') + 1
		}
		if n < 0 || n > len(form) {
			n = len(form)
		}
		all = append(all, form[:n])
		form = form[n:]
	}
	return all
}
