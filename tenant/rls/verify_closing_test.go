package rls_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant/rls"
)

func TestTheReportNamesTheTablesThatNoRuleJudged(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	p := newFixture(t)
	p.exec(t, `create table shop.kinds (id int); grant select on shop.kinds to $APP;
		create table shop.inbox (what text); grant insert on shop.inbox to $APP;
		create table shop.news (id int, what text); grant select, update on shop.news to $APP; alter table shop.news enable row level security; create policy p on shop.news using (true);
		create table shop.hidden (id int);
		create table shop.open (org text, order_id bigint, foreign key (org, order_id) references shop.orders (tenant_id, id)); grant select on shop.open to $APP`)
	r := p.verify(t)
	require.Equal(t, []rls.UnjudgedTable{{"shop.inbox", false, true}, {"shop.kinds", true, false}, {"shop.news", true, true}}, r.NotJudged)
	require.Contains(t, r.String(), "\n        shop.news (read, write)\n")

	// With declared tables all other tables stay without a judgement.
	r = p.verify(t, rls.Tables(rls.Table{Name: "shop.orders"}))
	require.Contains(t, r.NotJudged, rls.UnjudgedTable{"shop.lines", true, true})
	require.Contains(t, r.NotJudged, rls.UnjudgedTable{"shop.open", true, false})
}

func TestTheReportAdvisesOnTemporaryTables(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	for name, c := range map[string]struct {
		ddl  string
		want int
	}{
		"by default":               {"", 2},
		"pg_temp last":             {`alter role $APP set search_path = "$user", public, pg_temp`, 1},
		"pg_temp before another":   {"alter role $APP set search_path = pg_temp, public", 2},
		"no right to make any":     {"revoke temporary on database $DB from public", 1},
		"the right of another one": {"revoke temporary on database $DB from public; grant temporary on database $DB to $OWNER", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newDatabase(t, shop, "reset role; "+c.ddl)
			r := p.verify(t)
			require.Len(t, r.Advice, c.want, r.String())
			require.Contains(t, r.Advice[len(r.Advice)-1], "pg_stat_activity")
			if c.want > 1 {
				require.Contains(t, r.Advice[0], "pg_temp")
				require.Contains(t, r.Advice[0], "revoke temporary on database")
				require.Contains(t, r.String(), "advice: "+r.Advice[0])
			}
		})
	}
}
