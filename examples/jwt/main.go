// The folder program holds the example as a separate module: the dependencies of the
// example stay out of an importer's go.sum. Without this package the go command would only
// report that the main module does not contain the example.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "this example is a module of its own, which the root does not run: go -C examples/jwt/program run .")
	os.Exit(2)
}
