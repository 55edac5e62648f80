package golangci

import (
	"strings"
	"testing"

	"github.com/golangci/plugin-module-register/register"
)

func TestThePluginHasTheRules(t *testing.T) {
	t.Parallel()
	construct, err := register.GetPlugin("onepoolcheck")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		settings any
		rules    int
		err      string
	}{
		"all":          {nil, 6, ""},
		"without one":  {map[string]any{"disable": []string{"txio"}}, 5, ""},
		"unknown rule": {map[string]any{"disable": []string{"txoi"}}, 0, `no rule is named "txoi"`},
		"unknown key":  {map[string]any{"enable": []string{"txio"}}, 0, "read the settings"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := construct(c.settings)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("error %v, want %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			rules, err := p.BuildAnalyzers()
			if err != nil || len(rules) != c.rules || p.GetLoadMode() != register.LoadModeTypesInfo {
				t.Fatalf("%d rules, mode %s, error %v", len(rules), p.GetLoadMode(), err)
			}
		})
	}
}
