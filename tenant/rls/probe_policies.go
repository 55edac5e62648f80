package rls

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/agentagency/onepool/tenant"
)

// others are tenants beside p, as values for the table's column: one that has
// nothing in common with it; of texts those that a comparison of parts takes for
// it; and none at all where the column allows that.
func (p probe) others(t *table) []string {
	var values []string
	switch kind := t.kind(); kind {
	case BigInt:
		for _, n := range []int{p.number - 1, -p.number, p.number - 10, p.number - 100, p.number - 1000, p.number - 1024} {
			values = append(values, strconv.Itoa(n))
		}
	case UUID:
		values = []string{newProbe().uuid}
	default:
		other := newProbe().uuid
		values = []string{other, p.uuid + "0", "0" + p.uuid, p.uuid[1:], p.uuid[:35], p.uuid[:8], p.uuid[:8] + other[8:]}
	}
	values = literals(values)
	if !t.NotNull {
		values = append(values, "null")
	}
	return values
}

func literals(values []string) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = literal(v)
	}
	return out
}

// policyProbe asks the policies about rows of another tenant. The rows are made
// up, so that an empty table tells as much as a full one.
type policyProbe struct {
	*verifier
	me      probe
	columns map[uint32][]columnInfo
	own     map[*rule]bool // it lets the tenant's own rows through
}

// probePolicies asks every policy.
func (v *verifier) probePolicies(ctx context.Context, tx pgx.Tx) error {
	p := policyProbe{v, newProbe(), make(map[uint32][]columnInfo), make(map[*rule]bool)}
	for _, c := range v.columns {
		p.columns[c.Table] = append(p.columns[c.Table], c)
	}
	for _, kind := range []string{Text, UUID, BigInt} {
		me := asker{tenant: p.me.of(kind)}
		for _, step := range []struct {
			as   asker
			rows func(*rule) rowsOf
			yes  func(*rule)
		}{
			{asker{}, p.others, func(r *rule) { v.opens(r, noTenant) }},
			{asker{}, p.named, func(r *rule) { v.opens(r, noTenant) }},
			{me, p.others, func(r *rule) { v.opens(r, me.tenant) }},
			{me, p.samples, func(r *rule) { v.opens(r, me.tenant) }},
			{me, p.mine, func(r *rule) { p.own[r] = true }},
			{me, p.elsewhere, p.opensElsewhere},
		} {
			if err := p.askAbout(ctx, tx, kind, step.as, step.rows, step.yes); err != nil {
				return err
			}
		}
	}
	if err := p.probeNames(ctx, tx); err != nil {
		return err
	}
	return p.probeSettings(ctx, tx)
}

// rowsOf are rows to make up.
type rowsOf struct {
	tenants []string // as SQL
	filled  string   // what stands in columns that could hold a tenant, too; empty: NULL
	// Where there are words all columns hold something: one of the words, of the
	// numbers, a time gone by or to come.
	words, numbers []string
}

func (p policyProbe) others(r *rule) rowsOf { return rowsOf{tenants: p.me.others(r.table)} }
func (p policyProbe) mine(r *rule) rowsOf {
	return rowsOf{tenants: literals([]string{p.me.of(r.table.kind())})}
}

var number = regexp.MustCompile(`\b[0-9]{1,4}\b`)

// words are the literals in the policy and in the functions that it calls: those
// of a few are enough.
func (p policyProbe) words(r *rule) (out []string) {
	texts := []string{r.Using, r.Check}
	for _, f := range p.functionsOf(r) {
		texts = append(texts, f.Source)
	}
	for _, text := range texts {
		for _, word := range quoted(text) {
			if len(out) < 10 && word != tenant.TenantSetting && !slices.Contains(out, word) {
				out = append(out, word)
			}
		}
	}
	return out
}

var (
	uuidForm   = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	numberForm = regexp.MustCompile(`^[0-9]{1,4}$`)
)

// tenantsIn are the words that could be the names of tenants.
func (p policyProbe) tenantsIn(r *rule) []string {
	return slices.DeleteFunc(p.words(r), func(word string) bool {
		switch r.table.kind() {
		case UUID:
			return !uuidForm.MatchString(word)
		case BigInt:
			return !numberForm.MatchString(word)
		}
		return false
	})
}

// named are rows of tenants that the policy names.
func (p policyProbe) named(r *rule) rowsOf { return rowsOf{tenants: literals(p.tenantsIn(r))} }

// samples are rows of another tenant with something in every column, such as
// stands in the policy.
func (p policyProbe) samples(r *rule) rowsOf {
	numbers := append([]string{"0", "1"}, number.FindAllString(r.using.code+" "+r.check.code, 8)...)
	return rowsOf{tenants: p.me.others(r.table)[:1], words: literals(append(p.words(r), "x")), numbers: numbers}
}

// elsewhere are rows of another tenant that name this one in other columns.
func (p policyProbe) elsewhere(r *rule) rowsOf {
	return rowsOf{tenants: p.me.others(r.table)[:1], filled: literal(p.me.of(r.table.kind()))}
}

// askAbout asks whether the policies let the rows through.
func (p policyProbe) askAbout(ctx context.Context, tx pgx.Tx, kind string, as asker, rows func(*rule) rowsOf, yes func(*rule)) error {
	var questions []question
	for _, r := range p.policies {
		if !p.worthAsking(r, kind) {
			continue
		}
		if about := rows(r); len(about.tenants) > 0 {
			questions = append(questions, p.questions(r, about, func() { yes(r) })...)
		}
	}
	return p.askAll(ctx, tx, as, questions)
}

func (p policyProbe) questions(r *rule, rows rowsOf, yes func()) (out []question) {
	for _, passes := range r.conditions() {
		out = append(out, question{
			sql:    fmt.Sprintf("select from %s where %s", madeUpRows(r.table, p.columns[r.table.OID], rows), passes),
			yes:    yes,
			failed: func(*pgconn.PgError) {}, // what can't be asked lets nothing through
		})
	}
	return out
}

// opensElsewhere reports a policy that looks for the tenant in another column.
func (p policyProbe) opensElsewhere(r *rule) {
	level, then := LevelError, "and not where they are the tenant's: it compares the wrong column"
	if p.own[r] {
		level, then = LevelWarn, "beside the tenant's: whoever writes them shows them to whom they like"
	}
	if !p.found(r.object(), "policy-open-without-tenant", "policy-open-to-others") {
		p.addAs(level, FailOpen, "policy-open-to-others", r.object(), r.fix(), "It lets %s other tenants' rows through that name the tenant in another column, %s.", r.commandName(), then)
	}
}

// probeNames asks as tenants whose names are patterns or lists, and about those
// whose names differ in case or in spaces at the end.
func (p policyProbe) probeNames(ctx context.Context, tx pgx.Tx) error {
	other := newProbe().uuid
	stranger := func(*rule) rowsOf { return rowsOf{tenants: literals([]string{other})} }
	alike := func(*rule) rowsOf {
		return rowsOf{tenants: literals([]string{strings.ToUpper(p.me.uuid), p.me.uuid + " "})}
	}
	list := other + ",x;" + other + ";x|" + other + "|x " + other + " x" // whatever the separator
	for _, step := range []struct {
		name  string
		rows  func(*rule) rowsOf
		level Level
		then  string
	}{
		{"%", stranger, LevelError, "the tenant named % sees every other's: it takes the setting for a pattern"},
		{".*", stranger, LevelError, "the tenant named .* sees every other's: it takes the setting for a pattern"},
		{list, stranger, LevelError, "a tenant whose name is a list of others' sees theirs: it splits the setting"},
		{p.me.uuid, alike, LevelWarn, "it takes tenants for one whose names differ only in case or in spaces"},
	} {
		err := p.askAbout(ctx, tx, Text, asker{tenant: step.name}, step.rows, func(r *rule) {
			if !p.found(r.object(), "policy-open-without-tenant", "policy-open-to-others") {
				p.addAs(step.level, FailOpen, "policy-open-to-others", r.object(), r.fix(), "It lets %s rows through that are not the tenant's: %s.", r.commandName(), step.then)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// probeSettings asks whether a tenant that a policy names sees all, and whether
// another setting opens it, with the values that stand in the policy and such as
// mean yes.
func (p policyProbe) probeSettings(ctx context.Context, tx pgx.Tx) error {
	for _, r := range p.policies {
		kind := r.table.kind()
		if !p.worthAsking(r, kind) || p.found(r.object(), "policy-open-without-tenant", "policy-open-to-others") {
			continue
		}
		for _, name := range p.tenantsIn(r) {
			err := p.askAll(ctx, tx, asker{tenant: name}, p.questions(r, p.others(r), func() {
				if !p.found(r.object(), "policy-open-to-others") {
					p.addAs(LevelWarn, FailOpen, "policy-open-to-others", r.object(), r.fix(), "It lets %s every tenant's rows through to the one named %q: whoever gets by that name has all.", r.commandName(), name)
				}
			}))
			if err != nil {
				return err
			}
		}
		for _, setting := range p.otherSettings(r) {
			for _, value := range append(p.words(r), "on", "true", "1") {
				as := asker{p.me.of(kind), setting, value}
				err := p.askAll(ctx, tx, as, p.questions(r, p.others(r), func() {
					if !p.found(r.object(), "policy-bypass-setting") {
						p.add("policy-bypass-setting", r.object(), r.fix(), "Where %s is %q it lets %s every tenant's rows through, and whoever may run a statement may set that.", setting, value, r.commandName())
					}
				}))
				if err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// otherSettings are the settings that the policy reads beside TenantSetting.
func (v *verifier) otherSettings(p *rule) (names []string) {
	for _, e := range []sqlText{p.using, p.check} {
		for name := range v.settingsOf(p, e) {
			if name != tenant.TenantSetting && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// quoted are the first literals in a text.
func quoted(sql string) (out []string) {
	for i := 0; i < len(sql) && len(out) < 10; {
		if sql[i] != '\'' {
			i++
			continue
		}
		end := literalEnd(sql, i)
		if text := strings.ReplaceAll(strings.Trim(sql[i:end], "'"), "''", "'"); text != "" && !slices.Contains(out, text) {
			out = append(out, text)
		}
		i = end
	}
	return out
}

// conditions are what lets rows through the policy: to be seen, and to be written.
func (p *rule) conditions() (out []string) {
	seen, written := p.Using, p.Check
	for _, f := range p.fences() {
		check, _ := f.checked()
		seen, written = and(seen, f.Using), and(written, check)
	}
	for _, condition := range []string{seen, written} {
		if condition != "" {
			out = append(out, condition)
		}
	}
	return out
}

// and joins two conditions where there is a first.
func and(a, b string) string {
	if a == "" || b == "" {
		return a
	}
	return "(" + a + ") and (" + b + ")"
}

func (v *verifier) worthAsking(p *rule, kind string) bool {
	return p.Permissive && p.MayApply && p.table.scoped && p.table.AttNum != 0 && p.table.kind() == kind &&
		!v.found(p.table.object(), "probe-timeout") &&
		!v.found(p.object(), "policy-true", "policy-ignores-tenant", "policy-other-setting", "with-check-weak")
}

func (v *verifier) opens(p *rule, as string) {
	switch {
	case v.found(p.object(), "policy-open-without-tenant", "policy-open-to-others"):
	case as == noTenant:
		v.add("policy-open-without-tenant", p.object(), p.fix(), "Where no tenant is set it lets %s rows through.", p.commandName())
	default:
		v.add("policy-open-to-others", p.object(), p.fix(), "It lets %s rows through that are not the tenant's.", p.commandName())
	}
}

// madeUpRows are three rows of the table for each of the tenants, words, numbers
// and times: with true and false in the columns that are boolean, too.
func madeUpRows(t *table, columns []columnInfo, rows rowsOf) string {
	list := make([]string, len(columns))
	for i, c := range columns {
		switch {
		case c.Name == t.Column:
			list[i] = "made_up.tenant::" + t.kind()
		case c.Type == "boolean":
			list[i] = "made_up.flag"
		default:
			list[i] = rows.value(t, c) + "::" + c.cast()
		}
		list[i] += " as " + quote(c.Name)
	}
	from := fmt.Sprintf("(values (null::boolean), (true), (false)) f (flag), unnest(array[%s]) tenant", strings.Join(rows.tenants, ", "))
	if rows.words != nil {
		from += fmt.Sprintf(", unnest(array[%s]) word, unnest(array[%s]) number, unnest(array[now() - interval '1 day', now() + interval '1 day']) at",
			strings.Join(rows.words, ", "), strings.Join(rows.numbers, ", "))
	}
	return fmt.Sprintf("(select %s from (select * from %s) made_up) as %s", strings.Join(list, ", "), from, quote(t.Name))
}

// value is what stands in a column that is not the tenant's.
func (rows rowsOf) value(t *table, c columnInfo) string {
	like := table{Type: c.Type}
	switch kind := like.kind(); {
	case rows.filled != "" && like.usualType() && kind == t.kind():
		return rows.filled
	case rows.words == nil:
	case len(c.Labels) > 0:
		labels := "array[" + strings.Join(literals(c.Labels), ", ") + "]"
		return fmt.Sprintf("(case when made_up.word = any (%s) then made_up.word else (%[1]s)[1] end)", labels)
	case strings.HasSuffix(c.Type, "[]"):
		return "'{}'"
	case kind == UUID:
		return literal(newProbe().uuid)
	case kind == BigInt, slices.Contains([]string{"numeric", "real", "double precision"}, c.Type):
		return "made_up.number"
	case slices.Contains([]string{"date", "timestamp with time zone", "timestamp without time zone"}, c.Type):
		return "made_up.at"
	case slices.Contains([]string{"json", "jsonb"}, c.Type):
		return "'{}'"
	case like.usualType():
		return "made_up.word"
	}
	return "null"
}
