package size

import (
	"flag"
	"strconv"
)

// Parallel lets n parallel tests of the package run at a time, unless -parallel is
// given. A TestMain calls Parallel if its tests wait for a server most of their time:
// go test runs as many tests as there are processors.
func Parallel(n int) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", strconv.Itoa(n)) // the flag takes every number
	}
}
