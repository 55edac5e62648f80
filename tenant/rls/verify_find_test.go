package rls_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant/rls"
)

// brokenCase breaks the sound schema and causes a finding.
type brokenCase struct {
	name  string
	ddl   string
	code  string
	level rls.Level
	opts  []rls.VerifyOption

	object    string        // empty: not checked
	direction rls.Direction // empty: not checked
	login     bool          // only a new session of the role shows the finding
}

func TestVerifyFindsWhatIsBroken(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, c := range slices.Concat(broken, brokenReach, brokenComparisons, brokenTriggers, brokenServer) {
		again := seen[c.code]
		seen[c.code] = true
		if size.Of(again || len(seen)%4 != 1, false, false) {
			continue // the short size has one case of every fourth code
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newFixture(t)
			if c.login {
				p = newDatabase(t, shop)
			}
			p.exec(t, c.ddl)
			r := p.verify(t, c.opts...)
			require.Contains(t, codes(r), c.code, r.String())
			f := codes(r)[c.code]
			require.Equal(t, c.level, f.Level, r.String())
			if c.object != "" {
				require.Equal(t, p.name(c.object), f.Object)
			}
			if c.direction != "" {
				require.Equal(t, c.direction, f.Direction)
			}
			require.NotEmpty(t, f.Object)
			require.NotEmpty(t, f.Consequence)
			require.NotEmpty(t, f.Fix)
			if c.level == rls.LevelError {
				require.False(t, r.OK())
				require.ErrorIs(t, r.Err(), rls.ErrUnsound)
			}
			if strings.HasPrefix(f.Fix, "--") || strings.Contains(f.Fix, "another_role") {
				return // advice that a person must complete
			}
			p.exec(t, "reset role;\n"+f.Fix)
			for _, left := range p.verify(t, c.opts...).Findings {
				require.False(t, left.Code == f.Code && left.Object == f.Object, "the fix does not mend it: %s", f.Fix)
			}
		})
	}
	t.Run("every code has a case", func(t *testing.T) {
		elsewhere := []string{"rows-without-tenant", "rows-of-others", "setting-left-over", "setting-survives", "pooler", "timeout-off", "probe-timeout", "server-version"}
		for _, code := range rls.Codes() {
			if !seen[code] {
				require.Contains(t, elsewhere, code)
			}
		}
	})
}
