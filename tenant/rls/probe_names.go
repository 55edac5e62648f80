package rls

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/tenant"
)

// probeNames asks with names that are patterns or lists of other tenants.
func (p policyProbe) probeNames(ctx context.Context, tx pgx.Tx) error {
	other := newProbeTenant().uuid
	rows := func(*rowPolicy) rowsOf { return rowsOf{tenants: literals([]string{other})} }
	list := other + ",x;" + other + ";x|" + other + "|x " + other + " x" // for any separator
	for name, then := range map[string]string{
		"%":  "the tenant named % sees every other tenant's: the policy takes the setting for a pattern",
		".*": "the tenant named .* sees every other tenant's: the policy takes the setting for a pattern",
		list: "a tenant whose name is a list of tenants sees their rows: the policy splits the setting",
	} {
		err := p.askAbout(ctx, tx, Text, probeSettings{tenant: name}, rows, func(r *rowPolicy) {
			p.opensAs(LevelError, r, "For %s the policy passes rows of other tenants: %s.", r.commandName(), then)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// probeConfusions asks with names that a comparison may take for the name of another tenant.
func (p policyProbe) probeConfusions(ctx context.Context, tx pgx.Tx) error {
	byLimit := make(map[int][]confusion)
	for _, t := range p.scoped {
		if limit := t.MaxLength; byLimit[limit] == nil && t.kind() == Text {
			byLimit[limit] = p.me.confusions(limit)
		}
	}
	for limit, all := range byLimit {
		for _, c := range all {
			rows := func(r *rowPolicy) rowsOf {
				if r.table.MaxLength != limit {
					return rowsOf{}
				}
				return rowsOf{tenants: literals(c.others)}
			}
			err := p.askAbout(ctx, tx, Text, probeSettings{tenant: c.name}, rows, func(r *rowPolicy) {
				p.opensAs(LevelError, r, "For %s the policy passes rows of a tenant with another name: the policy %s.", r.commandName(), c.how)
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// probeSettings asks whether a tenant that a policy names sees all rows, and whether another
// setting opens the policy: with the values of the policy's text, and with values that mean yes.
func (p policyProbe) probeSettings(ctx context.Context, tx pgx.Tx) error {
	for _, r := range p.policies {
		kind := r.table.kind()
		if !p.worthAsking(r, kind) || p.found(r.object(), "policy-open-without-tenant", "policy-open-to-others") {
			continue
		}
		for _, name := range p.tenantsIn(r) {
			err := p.askAll(ctx, tx, probeSettings{tenant: name}, p.questions(r, p.rowsOfOthers(r), func() {
				p.opensAs(LevelWarn, r, "For %s the policy passes every tenant's rows to the tenant named %q: a client that takes the name has all rows.", r.commandName(), name)
			}))
			if err != nil {
				return err
			}
		}
		for _, setting := range p.otherSettings(r) {
			if err := p.probeSetting(ctx, tx, r, setting); err != nil {
				return err
			}
		}
	}
	return nil
}

// probeSetting asks whether a setting beside the tenant's opens the policy.
func (p policyProbe) probeSetting(ctx context.Context, tx pgx.Tx, r *rowPolicy, setting string) error {
	others := p.rowsOfOthers(r)
	me := p.me.of(r.table.kind())
	identity := setting == tenant.UserSetting || setting == tenant.SessionSetting
	if identity {
		user := newProbeTenant()
		for _, value := range []string{user.uuid, user.of(BigInt)} {
			err := p.askAll(ctx, tx, probeSettings{me, setting, value}, p.questions(r, rowsOf{tenants: others.tenants[:1], filled: value}, func() {
				p.opensAs(LevelError, r, "For %s the policy passes rows of other tenants whose %s is the same: two tenants may have users of one ID.", r.commandName(), setting)
			}))
			if err != nil {
				return err
			}
		}
	}
	for _, value := range append(p.words(r), "on", "true", "1") {
		err := p.askAll(ctx, tx, probeSettings{me, setting, value}, p.questions(r, others, func() {
			switch {
			case p.found(r.object(), "policy-bypass-setting"):
			case identity: // every tenant names its own users
				p.addAs(LevelError, FailOpen, "policy-bypass-setting", r.object(), r.fix(),
					"For %s the policy passes every tenant's rows if %s is %q, and every tenant chooses the names of its users.", r.commandName(), setting, value)
			default:
				p.add("policy-bypass-setting", r.object(), r.fix(), "For %s the policy passes every tenant's rows if %s is %q, and every statement may set the setting.", r.commandName(), setting, value)
			}
		}))
		if err != nil {
			return err
		}
	}
	return nil
}

// otherSettings are the settings that the policy reads beside the tenant's.
func (v *verifier) otherSettings(p *rowPolicy) (names []string) {
	for _, e := range p.expressions() {
		for name := range v.settingsOf(p, e.text) {
			if name != tenant.TenantSetting {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
