// The example is in program, a module of its own: its dependencies stay out of the go.sum
// of those who import onepool. Without this package the go command would only say that
// the main module does not contain the example.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "this example is a module of its own, which the root does not run: go -C examples/gorm/program run .")
	os.Exit(2)
}
