package rls_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/tenant/rls"
)

var sample = rls.Report{
	Database: "shop", Role: "shop_app", Server: "15.1", Tables: []string{"shop.orders", "shop.tags"},
	Findings: []rls.Finding{
		{Code: "table-rls-off", Level: rls.LevelError, Object: "shop.orders", Consequence: "Rows are <visible>.", Fix: "alter table x;\nalter table y;", Direction: rls.FailOpen},
		{Code: "matview", Level: rls.LevelError, Object: "shop.m", Consequence: "It stores rows.", Fix: "revoke;", Direction: rls.FailOpen, Allowed: "figures of all tenants"},
		{Code: "index-missing", Level: rls.LevelWarn, Object: "shop.tags", Consequence: "It is slow.", Fix: "create index;"},
	},
	NotJudged: []rls.UnjudgedTable{{"shop.inbox", false, true}, {"shop.kinds", true, false}, {"shop.notes", true, true}},
	Advice:    []string{"send values as parameters"},
}

func TestReportAsText(t *testing.T) {
	t.Parallel()
	require.Equal(t, `role shop_app, database shop, PostgreSQL 15.1, 2 tables

error   table-rls-off  shop.orders  (fail-open)
        Rows are <visible>.
        alter table x;
        alter table y;

allowed matview  shop.m  (fail-open)
        It stores rows.
        reason: figures of all tenants

warn    index-missing  shop.tags
        It is slow.
        create index;

not judged, because no column, policy or foreign key identifies the tenant:
        shop.inbox (write)
        shop.kinds (read)
        shop.notes (read, write)
advice: send values as parameters
not sound: 1 error, 1 warning, 0 notes, 1 allowed
`, sample.String())
	require.Equal(t, "role a, database d, PostgreSQL 15.1, 1 table\nsound: 0 errors, 0 warnings, 0 notes, 0 allowed\n",
		rls.Report{Role: "a", Database: "d", Server: "15.1", Tables: []string{"t"}}.String())
	require.EqualError(t, sample.Err(), `tenant isolation is not sound for role shop_app: table-rls-off shop.orders: run "go tool onepool verify" for the consequences and the fixes (first: go get -tool github.com/agentagency/onepool/fxdb/cmd/onepool)`)
}

func TestReportAsJSON(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	require.NoError(t, sample.WriteJSON(&b))
	require.Contains(t, b.String(), "<visible>")
	var back struct {
		OK bool
		rls.Report
	}
	require.NoError(t, json.Unmarshal(b.Bytes(), &back))
	require.False(t, back.OK)
	require.Equal(t, sample, back.Report)

	empty, err := json.Marshal(rls.Report{})
	require.NoError(t, err)
	require.JSONEq(t, `{"ok":true,"database":"","role":"","server":"","tables":[],"findings":[],"not_judged":[],"advice":[]}`, string(empty))
}

func TestReportAsSARIF(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	require.NoError(t, sample.WriteSARIF(&b))
	var log struct {
		Version string
		Schema  string `json:"$schema"`
		Runs    []struct {
			Tool struct {
				Driver struct {
					Name  string
					Rules []struct {
						ID               string
						ShortDescription struct{ Text string }
					}
				}
			}
			Results []struct {
				RuleID    string
				RuleIndex int
				Level     string
				Message   struct{ Text string }
				Locations []struct {
					LogicalLocations []struct{ FullyQualifiedName string }
				}
				Suppressions []struct{ Kind, Justification string }
				Properties   map[string]string
			}
		}
	}
	require.NoError(t, json.Unmarshal(b.Bytes(), &log))
	require.Equal(t, "2.1.0", log.Version)
	require.NotEmpty(t, log.Schema)
	require.Len(t, log.Runs, 1)
	run := log.Runs[0]
	require.Equal(t, "onepool", run.Tool.Driver.Name)
	require.Len(t, run.Tool.Driver.Rules, len(rls.Codes()))
	require.Len(t, run.Results, 3)
	for i, level := range []string{"error", "error", "warning"} {
		r, f := run.Results[i], sample.Findings[i]
		require.Equal(t, f.Code, r.RuleID)
		require.Equal(t, f.Code, run.Tool.Driver.Rules[r.RuleIndex].ID)
		require.NotEmpty(t, run.Tool.Driver.Rules[r.RuleIndex].ShortDescription.Text)
		require.Equal(t, level, r.Level)
		require.Contains(t, r.Message.Text, f.Consequence)
		require.Equal(t, f.Object, r.Locations[0].LogicalLocations[0].FullyQualifiedName)
		require.Equal(t, f.Fix, r.Properties["fix"])
	}
	require.Empty(t, run.Results[0].Suppressions)
	require.Equal(t, "figures of all tenants", run.Results[1].Suppressions[0].Justification)

	b.Reset()
	require.NoError(t, rls.Report{}.WriteSARIF(&b))
	require.Contains(t, b.String(), `"results": []`)
}

func TestCodesAreUnique(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, code := range rls.Codes() {
		require.False(t, seen[code], code)
		require.Regexp(t, `^[a-z]+(-[a-z]+)*$`, code)
		seen[code] = true
	}
}
