package rls

import (
	"fmt"
	"strings"
)

// vulnerability is a defect of PostgreSQL by which a session passes row-level security. fixed
// is the first minor version without the defect, by major version.
type vulnerability struct {
	id, defect string
	fixed      map[int]int
}

var vulnerabilities = []vulnerability{
	{"CVE-2023-2455", "a reused plan keeps the policies of an earlier role", map[int]int{11: 20, 12: 15, 13: 11, 14: 8, 15: 3}},
	{"CVE-2023-39418", "MERGE skips UPDATE and SELECT policies", map[int]int{15: 4}},
	{"CVE-2024-4317", "pg_stats_ext shows values of rows", map[int]int{14: 12, 15: 7, 16: 3}},
	{"CVE-2024-10976", "a reused plan of a sub-query keeps the policies of an earlier role", map[int]int{12: 21, 13: 17, 14: 14, 15: 9, 16: 5, 17: 1}},
	{"CVE-2024-10978", "SET ROLE may restore the wrong role", map[int]int{12: 21, 13: 17, 14: 14, 15: 9, 16: 5, 17: 1}},
	{"CVE-2025-8713", "statistics of a table show values of rows to operators", map[int]int{13: 22, 14: 19, 15: 14, 16: 10, 17: 6}},
}

// checkVersion compares the server's minor version with the fixes of known defects.
func (v *verifier) checkVersion() {
	known, upgrade := knownVulnerabilities(v.session.Version)
	if len(known) == 0 {
		return
	}
	texts := make([]string, len(known))
	for i, k := range known {
		texts[i] = fmt.Sprintf("%s (%s)", k.id, k.defect)
	}
	v.add("server-version", "PostgreSQL "+v.session.Server, "-- upgrade the server to "+upgrade+" or later", "The server has known defects of row-level security: %s.", strings.Join(texts, ", "))
}

// knownVulnerabilities are the ones of a server_version_num, and the first version without any.
func knownVulnerabilities(version int) (known []vulnerability, upgrade string) {
	major, minor := version/10000, version%10000
	newest := 0
	for _, k := range vulnerabilities {
		if fixed, ok := k.fixed[major]; ok && minor < fixed {
			known, newest = append(known, k), max(newest, fixed)
		}
	}
	return known, fmt.Sprintf("%d.%d", major, newest)
}
