// Command settings writes docs/settings.md from the comments on the fields of fxdb.Config.
//
//	go generate ./docs          # write the page
//	go run ./docs/settings      # print the page
//
// The comment of a field is one paragraph that ends with "Default ... . Variable ... ."
package main

import (
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"strings"
)

func main() {
	log.SetFlags(0)
	write := flag.String("write", "", "write the page to this `file` instead of printing the page")
	flag.Parse()
	_, here, _, _ := runtime.Caller(0)
	page, err := pageOf(filepath.Join(filepath.Dir(here), "..", "..", "fxdb"))
	if err == nil && *write != "" {
		err = os.WriteFile(*write, []byte(page), 0o644)
	} else if err == nil {
		fmt.Print(page)
	}
	if err != nil {
		log.Fatal(err)
	}
}

const head = `# Settings

<!-- Generated from the fields of fxdb.Config by "go generate ./docs". Change the comments in fxdb/config.go. -->

[ConfigFromEnv](https://pkg.go.dev/github.com/agentagency/onepool/fxdb#ConfigFromEnv) reads the variables below.
The result is a value in the fx graph. ` + "`fx.Decorate(func(c fxdb.Config) fxdb.Config { … })`" + ` changes fields of the value, and
` + "`fx.Replace(fxdb.Config{…})`" + ` replaces the whole value, ` + "`DATABASE_URL`" + ` included. Without fx, pass the value to ` + "`fxdb.Open`" + `.

- A variable with an empty value counts as unset. A bad value fails the start with a ` + "`*fxdb.ConfigError`" + ` for each bad variable.
- Durations in variables are whole milliseconds, and fields are ` + "`time.Duration`" + `. If a field allows a negative value for
  "no limit", the variable takes 0 for the same.
- ` + "`DATABASE_URL`" + ` wins over the ` + "`DB_*`" + ` parts. The parts fill in values that the URL leaves out.
- ` + "`fxdb.ModuleNamed(\"reporting\")`" + ` reads the same variables with the prefix ` + "`REPORTING_`" + `: ` + "`REPORTING_DB_POOL_MAX`" + `.
- Logs, errors, JSON, ` + "`%v` and `%#v`" + ` never show a password.

| variable | field | default | meaning |
|---|---|---|---|
`

// pageOf returns the page for the package in folder.
func pageOf(folder string) (string, error) {
	config, err := parse(filepath.Join(folder, "config.go"), "Config")
	if err != nil {
		return "", err
	}
	environ, err := parse(filepath.Join(folder, "env.go"), "environ")
	if err != nil {
		return "", err
	}
	var page strings.Builder
	page.WriteString(head)
	var bad []error
	for _, f := range config.Fields.List {
		if name := f.Names[0]; name.IsExported() {
			row, err := rowOf(name.Name, f.Doc.Text())
			bad = append(bad, err)
			page.WriteString(row)
		}
	}
	for _, f := range environ.Fields.List {
		variable := reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("env")
		if !regexp.MustCompile(`\b` + variable + `\b`).MatchString(page.String()) {
			bad = append(bad, fmt.Errorf("fxdb.Config: no field's comment names the variable %s", variable))
		}
	}
	return page.String(), errors.Join(bad...)
}

var ending = regexp.MustCompile(`^(?s)(.*) Default (.+)\. Variable ([A-Z_]+)\.$`)

// rowOf returns the row of a field in the table.
func rowOf(field, doc string) (string, error) {
	text := strings.Join(strings.Fields(doc), " ")
	parts := ending.FindStringSubmatch(text)
	if parts == nil {
		return "", fmt.Errorf(`fxdb.Config.%s: the comment must end with "Default ... . Variable ... ."`, field)
	}
	meaning := regexp.MustCompile(`\[([A-Za-z.]+)\]`).ReplaceAllString(parts[1], "`$1`")
	meaning = strings.ReplaceAll(meaning, "|", `\|`)
	return fmt.Sprintf("| `%s` | `%s` | %s | %s |\n", parts[3], field, parts[2], meaning), nil
}

// parse returns the struct type of that name in a Go file.
func parse(file, name string) (*ast.StructType, error) {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	var found *ast.StructType
	ast.Inspect(f, func(n ast.Node) bool {
		if spec, ok := n.(*ast.TypeSpec); ok && spec.Name.Name == name {
			found, _ = spec.Type.(*ast.StructType)
		}
		return found == nil
	})
	if found == nil {
		return nil, fmt.Errorf("%s has no struct %s", file, name)
	}
	return found, nil
}
