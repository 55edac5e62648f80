package sqllex

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A word that is missing in knownNames would never be found in a text.
func TestEveryWordThatTheCodeAsksForIsKnown(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	asked := regexp.MustCompile(`(?:isWord|skip|setName)\("([a-z]+)"\)|name == "([a-z_]+)"|(?m:^\tcase ("[a-z_", ]+"):)`)
	n := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range asked.FindAllStringSubmatch(string(source), -1) {
			for _, w := range strings.FieldsFunc(m[1]+" "+m[2]+" "+m[3], func(r rune) bool { return strings.ContainsRune(`", `, r) }) {
				n++
				require.Equal(t, w, knownName(w, false), file)
				require.Equal(t, w, knownName(strings.ToUpper(w), true), file)
			}
		}
	}
	require.Greater(t, n, 100)
}
