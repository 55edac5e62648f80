// Package golangci makes the rules of onepoolcheck a module plugin of golangci-lint. In
// .custom-gcl.yml:
//
//	version: v2.15.0
//	plugins:
//	  - module: github.com/agentagency/onepool/testkit/onepoolcheck
//	    import: github.com/agentagency/onepool/testkit/onepoolcheck/golangci
//	    version: v1.0.0
//
// and in .golangci.yml:
//
//	linters:
//	  enable: [onepoolcheck]
//	  settings:
//	    custom:
//	      onepoolcheck:
//	        type: module
//	        settings:
//	          disable: [txio]
package golangci

import (
	"fmt"
	"slices"

	"github.com/golangci/plugin-module-register/register"
	"golang.org/x/tools/go/analysis"

	"github.com/agentagency/onepool/testkit/onepoolcheck"
)

func init() { register.Plugin("onepoolcheck", newPlugin) }

// settings are what .golangci.yml can say.
type settings struct {
	Disable []string `json:"disable"`
}

type plugin struct{ analyzers []*analysis.Analyzer }

func newPlugin(raw any) (register.LinterPlugin, error) {
	s, err := register.DecodeSettings[settings](raw)
	if err != nil {
		return nil, fmt.Errorf("onepoolcheck: read the settings: %w", err)
	}
	all := onepoolcheck.Analyzers()
	for _, name := range s.Disable {
		if !slices.ContainsFunc(all, func(a *analysis.Analyzer) bool { return a.Name == name }) {
			return nil, fmt.Errorf("onepoolcheck: disable: no rule is named %q", name)
		}
	}
	return plugin{slices.DeleteFunc(all, func(a *analysis.Analyzer) bool { return slices.Contains(s.Disable, a.Name) })}, nil
}

// BuildAnalyzers returns the rules that the settings leave on.
func (p plugin) BuildAnalyzers() ([]*analysis.Analyzer, error) { return p.analyzers, nil }

// GetLoadMode says that the rules need types.
func (plugin) GetLoadMode() string { return register.LoadModeTypesInfo }
