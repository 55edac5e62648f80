package docs

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/tenant/rls"
)

var codeRow = regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| (?:error|warn|note) \\|")

func TestThePageOfPoliciesHasEveryCodeOfTheVerifier(t *testing.T) {
	t.Parallel()
	var listed []string
	for _, m := range codeRow.FindAllStringSubmatch(read(t, "docs/policies.md"), -1) {
		listed = append(listed, m[1])
	}
	require.ElementsMatch(t, rls.Codes(), listed)
}
