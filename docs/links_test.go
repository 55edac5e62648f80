package docs

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading  = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	fenced   = regexp.MustCompile("(?ms)^```.*?^```$")
	notInURL = regexp.MustCompile(`[^a-z0-9 _-]`)
)

// anchors are GitHub's names of a page's headings.
func anchors(text string) map[string]bool {
	all := make(map[string]bool)
	for _, m := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		name := notInURL.ReplaceAllString(strings.ToLower(m[1]), "")
		all[strings.ReplaceAll(name, " ", "-")] = true
	}
	return all
}

func TestTheLinksOfThePagesLeadSomewhere(t *testing.T) {
	t.Parallel()
	for _, page := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(fenced.ReplaceAllString(read(t, page), ""), -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, ":") {
				continue // of the web
			}
			file := page
			if target != "" {
				file = path.Join(path.Dir(page), target)
			}
			info, err := os.Stat(filepath.Join(root, file))
			if !assertOK(t, err == nil, "%s: no file %s", page, m[1]) || info.IsDir() || anchor == "" {
				continue
			}
			assertOK(t, anchors(read(t, file))[anchor], "%s: no heading %s", page, m[1])
		}
	}
}

func assertOK(t *testing.T, ok bool, format string, args ...any) bool {
	t.Helper()
	if !ok {
		t.Errorf(format, args...)
	}
	return ok
}

// TestEveryPageIsInTheTableOfContents keeps a new page from being lost.
func TestEveryPageIsInTheTableOfContents(t *testing.T) {
	t.Parallel()
	contents := read(t, "docs/README.md")
	for _, page := range pages(t) {
		if name, ok := strings.CutPrefix(page, "docs/"); ok && name != "README.md" && !strings.HasPrefix(name, "decisions/") {
			require.Contains(t, contents, "("+name+")")
		}
	}
}
