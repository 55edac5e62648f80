package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain makes the test binary the command.
func TestMain(m *testing.M) {
	if os.Getenv("ONEPOOLCHECK_AS_COMMAND") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// program opens a pool by database/sql, and so needs no module beside the standard library.
const program = `package main

import "database/sql"

func main() { _, _ = sql.Open("pgx", "") }
`

func TestTheCommandRunsAloneAndUnderVet(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, command := range map[string][]string{
		"alone": {self, "./..."},
		"vet":   {"go", "vet", "-vettool=" + self, "./..."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, dir, "go.mod", "module example.org/program\n\ngo 1.26\n")
			write(t, dir, "main.go", program)
			if out, err := run(dir, command); err == nil || !strings.Contains(out, `main.go:5:22: sql.Open("pgx", …) opens a pool beside the program's pool`) {
				t.Fatalf("%v: %s", err, out)
			}
			write(t, dir, "main.go", strings.Replace(program, "func", "//onepoolcheck:allow newpool a tool\nfunc", 1))
			if out, err := run(dir, command); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		})
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func run(dir string, command []string) (string, error) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "ONEPOOLCHECK_AS_COMMAND=1")
	out, err := cmd.CombinedOutput()
	return string(out), err
}
