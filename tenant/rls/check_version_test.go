package rls

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAVersionHasKnownDefects(t *testing.T) {
	t.Parallel()
	for version, want := range map[int]struct {
		known   []string
		upgrade string
	}{
		180000: {nil, ""}, 170006: {nil, ""}, 150014: {nil, ""}, 140019: {nil, ""}, 90624: {nil, ""},
		170005: {[]string{"CVE-2025-8713"}, "17.6"},
		170000: {[]string{"CVE-2024-10976", "CVE-2024-10978", "CVE-2025-8713"}, "17.6"},
		150003: {[]string{"CVE-2023-39418", "CVE-2024-4317", "CVE-2024-10976", "CVE-2024-10978", "CVE-2025-8713"}, "15.14"},
		150002: {[]string{"CVE-2023-2455", "CVE-2023-39418", "CVE-2024-4317", "CVE-2024-10976", "CVE-2024-10978", "CVE-2025-8713"}, "15.14"},
		140018: {[]string{"CVE-2025-8713"}, "14.19"},
		110010: {[]string{"CVE-2023-2455"}, "11.20"},
	} {
		var known []string
		all, upgrade := knownVulnerabilities(version)
		for _, k := range all {
			known = append(known, k.id)
			require.NotEmpty(t, k.defect)
		}
		require.Equal(t, want.known, known, version)
		if known != nil {
			require.Equal(t, want.upgrade, upgrade)
		}

		v := &verifier{catalog: &catalog{session: session{Server: "x", Version: version}}}
		v.checkVersion()
		require.Equal(t, known != nil, v.found("PostgreSQL x", "server-version"), version)
	}
}
