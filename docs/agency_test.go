package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var created = regexp.MustCompile(`(?m)^create (?:table|view) ([a-z_.]+)`)

// section returns the part of a page below the heading that begins with name.
func section(t *testing.T, page, name string) string {
	t.Helper()
	_, rest, found := strings.Cut(read(t, page), "\n## "+name)
	require.True(t, found, "%s has no section %s", page, name)
	text, _, _ := strings.Cut(rest, "\n## ")
	return text
}

// firstCells are the names in the first column of a section's table.
func firstCells(text string) (names []string) {
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Za-z_.]+)`").FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	return names
}

var clients = []struct{ module, schema string }{
	{"agentregistry", "registry"}, {"knowledge", "knowledge"}, {"webnavigator", "web"},
	{"verification", "verification"}, {"orchestrator", "orchestrator"},
}

func TestThePageOfTheSchemaHasEveryTable(t *testing.T) {
	t.Parallel()
	for _, c := range clients {
		files, err := filepath.Glob(filepath.Join(root, "modules", c.module, "migrations", "*.sql"))
		require.NoError(t, err)
		var tables []string
		for _, file := range files {
			rel, err := filepath.Rel(root, file)
			require.NoError(t, err)
			for _, m := range created.FindAllStringSubmatch(read(t, rel), -1) {
				tables = append(tables, m[1])
			}
		}
		require.ElementsMatch(t, tables, firstCells(section(t, "docs/schema.md", c.schema+" (")))
	}
}

func TestThePageOfTheQueriesHasEveryMethod(t *testing.T) {
	t.Parallel()
	for _, c := range clients {
		require.ElementsMatch(t, methodsOfClient(t, filepath.Join(root, "modules", c.module)),
			firstCells(section(t, "docs/queries.md", c.module)), c.module)
	}
}

// methodsOfClient are the exported methods of *Client.
func methodsOfClient(t *testing.T, folder string) (names []string) {
	noTests := func(info fs.FileInfo) bool { return !strings.HasSuffix(info.Name(), "_test.go") }
	packages, err := parser.ParseDir(token.NewFileSet(), folder, noTests, 0) //nolint:staticcheck // types are not needed
	require.NoError(t, err)
	for _, p := range packages {
		for _, f := range p.Files {
			for _, d := range f.Decls {
				fn, ok := d.(*ast.FuncDecl)
				if !ok || fn.Recv == nil || !fn.Name.IsExported() {
					continue
				}
				if star, ok := fn.Recv.List[0].Type.(*ast.StarExpr); ok && isName(star.X, "Client") {
					names = append(names, fn.Name.Name)
				}
			}
		}
	}
	return names
}
