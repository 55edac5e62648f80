package main

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
)

// The go command's own words for an example in another module don't say what to do.
func TestRunFromTheRootSaysWhatToDo(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	for _, example := range []string{"gorm", "jwt"} {
		out, err := exec.CommandContext(t.Context(), "go", "run", "../"+example).CombinedOutput()
		require.Error(t, err)
		require.Contains(t, string(out), "go -C examples/"+example+"/program run .")
		require.FileExists(t, filepath.Join("..", example, "program", "go.mod"))
	}
}
