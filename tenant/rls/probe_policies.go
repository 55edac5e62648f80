package rls

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/agentagency/onepool/tenant"
)

// policyProbe asks the policies about rows of another tenant. The verifier makes the rows up,
// so an empty table proves as much as a full table.
type policyProbe struct {
	*verifier
	me      probeTenant
	columns map[uint32][]columnInfo
	own     map[*rowPolicy]bool // the policy passes the tenant's own rows
	others  map[columnShape]rowsOf
}

// columnShape decides which tenants a tenant column can hold.
type columnShape struct {
	kind    string
	notNull bool
}

// probePolicies asks every policy.
func (v *verifier) probePolicies(ctx context.Context, tx pgx.Tx) error {
	p := policyProbe{v, newProbeTenant(), make(map[uint32][]columnInfo), make(map[*rowPolicy]bool), make(map[columnShape]rowsOf)}
	for _, c := range v.columns {
		p.columns[c.Table] = append(p.columns[c.Table], c)
	}
	for _, kind := range []string{Text, UUID, BigInt} {
		me := probeSettings{tenant: p.me.of(kind)}
		for _, step := range []struct {
			with probeSettings
			rows func(*rowPolicy) rowsOf
			yes  func(*rowPolicy)
		}{
			{probeSettings{}, p.rowsOfOthers, func(r *rowPolicy) { v.opens(r, noTenant) }},
			{probeSettings{}, p.namedTenants, func(r *rowPolicy) { v.opens(r, noTenant) }},
			{me, p.rowsOfOthers, func(r *rowPolicy) { v.opens(r, me.tenant) }},
			{me, p.sampleRows, func(r *rowPolicy) { v.opens(r, me.tenant) }},
			{me, p.ownRows, func(r *rowPolicy) { p.own[r] = true }},
			{me, p.misplaced, p.opensMisplaced},
		} {
			if err := p.askAbout(ctx, tx, kind, step.with, step.rows, step.yes); err != nil {
				return err
			}
		}
	}
	if err := p.probeNames(ctx, tx); err != nil {
		return err
	}
	if err := p.probeConfusions(ctx, tx); err != nil {
		return err
	}
	return p.probeSettings(ctx, tx)
}

// rowsOfOthers are rows of other tenants. The tenants are the same for all tables with a column
// of the same shape, so that tables share questions.
func (p policyProbe) rowsOfOthers(r *rowPolicy) rowsOf {
	shape := columnShape{r.table.kind(), r.table.NotNull}
	if _, known := p.others[shape]; !known {
		p.others[shape] = rowsOf{tenants: p.me.others(r.table)}
	}
	return p.others[shape]
}

func (p policyProbe) ownRows(r *rowPolicy) rowsOf {
	return rowsOf{tenants: literals([]string{p.me.of(r.table.kind())})}
}

var number = regexp.MustCompile(`\b[0-9]{1,4}\b`)

// words are the literals of the policy and of the functions that the policy calls, ten at most.
func (p policyProbe) words(r *rowPolicy) (out []string) {
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
	uuidForm    = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	numberForm  = regexp.MustCompile(`^[0-9]{1,4}$`)
	integerForm = regexp.MustCompile(`^-?[0-9]{1,5}$`)
)

// tenantsIn are the words that could be names of tenants.
func (p policyProbe) tenantsIn(r *rowPolicy) []string {
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

// namedTenants are rows of the tenants that the policy names.
func (p policyProbe) namedTenants(r *rowPolicy) rowsOf {
	return rowsOf{tenants: literals(p.tenantsIn(r))}
}

// sampleRows are rows of another tenant with a value of the policy's text in every column.
func (p policyProbe) sampleRows(r *rowPolicy) rowsOf {
	numbers := append([]string{"0", "1"}, number.FindAllString(r.using.code+" "+r.check.code, 8)...)
	return rowsOf{tenants: p.rowsOfOthers(r).tenants[:1], words: literals(append(p.words(r), "x")), numbers: numbers}
}

// misplaced are rows of another tenant that hold this tenant in other columns.
func (p policyProbe) misplaced(r *rowPolicy) rowsOf {
	return rowsOf{tenants: p.rowsOfOthers(r).tenants[:1], filled: p.me.of(r.table.kind())}
}

// askAbout asks whether the policies of tables of the kind pass the rows.
func (p policyProbe) askAbout(ctx context.Context, tx pgx.Tx, kind string, with probeSettings, rows func(*rowPolicy) rowsOf, yes func(*rowPolicy)) error {
	var questions []question
	for _, r := range p.policies {
		if !p.worthAsking(r, kind) {
			continue
		}
		if about := rows(r); len(about.tenants) > 0 {
			questions = append(questions, p.questions(r, about, func() { yes(r) })...)
		}
	}
	return p.askAll(ctx, tx, with, distinct(questions))
}

func (p policyProbe) questions(r *rowPolicy, rows rowsOf, yes func()) (out []question) {
	for _, condition := range r.conditions() {
		out = append(out, question{
			sql:    fmt.Sprintf("select from %s where %s", p.madeUpRows(r, condition, rows), condition),
			yes:    yes,
			failed: func(*pgconn.PgError) {}, // a condition that fails passes no row
		})
	}
	return out
}

// opensMisplaced reports a policy that looks for the tenant in another column.
func (p policyProbe) opensMisplaced(r *rowPolicy) {
	level, then := LevelError, "and not the tenant's own rows: the policy compares the wrong column"
	if p.own[r] {
		level, then = LevelWarn, "beside the tenant's own rows: the writer of a row chooses who sees the row"
	}
	p.opensAs(level, r, "For %s the policy passes rows of other tenants that hold the tenant in another column, %s.", r.commandName(), then)
}

// opensAs reports a policy that passes rows of other tenants, once.
func (p policyProbe) opensAs(level Level, r *rowPolicy, consequence string, args ...any) {
	if !p.found(r.object(), "policy-open-without-tenant", "policy-open-to-others") {
		p.addAs(level, FailOpen, "policy-open-to-others", r.object(), r.fix(), consequence, args...)
	}
}

// quoted are the first literals in a text, ten at most.
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

// conditions are the conditions of the policy for reading and for writing a row, ANDed with
// the restrictive policies.
func (p *rowPolicy) conditions() (out []string) {
	seen, written := p.Using, p.Check
	for _, r := range p.restrictive() {
		check, _ := r.checked()
		seen, written = and(seen, r.Using), and(written, check)
	}
	for _, condition := range []string{seen, written} {
		if condition != "" && !slices.Contains(out, condition) {
			out = append(out, condition)
		}
	}
	return out
}

// and joins two conditions. An empty first condition stays empty.
func and(a, b string) string {
	if a == "" || b == "" {
		return a
	}
	return "(" + a + ") and (" + b + ")"
}

func (v *verifier) worthAsking(p *rowPolicy, kind string) bool {
	return p.Permissive && p.MayApply && p.table.scoped && p.table.AttNum != 0 && p.table.kind() == kind &&
		!v.found(p.table.object(), "probe-timeout") &&
		!v.found(p.object(), "policy-true", "policy-ignores-tenant", "policy-other-setting", "with-check-weak")
}

func (v *verifier) opens(p *rowPolicy, tenant string) {
	switch {
	case v.found(p.object(), "policy-open-without-tenant", "policy-open-to-others"):
	case tenant == noTenant:
		v.add("policy-open-without-tenant", p.object(), p.fix(), "For %s the policy passes rows in a session without a tenant.", p.commandName())
	default:
		v.add("policy-open-to-others", p.object(), p.fix(), "For %s the policy passes rows of another tenant.", p.commandName())
	}
}
