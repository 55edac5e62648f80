package measure_test

import (
	"fmt"
	"os"

	"github.com/agentagency/onepool/examples/internal/measure"
)

func Example() {
	// Operations per second in three rounds. Foreign work kept the machine busy in the last round.
	old, ours := []float64{1000, 1010, 500}, []float64{1200, 1210, 600}
	err := measure.WriteTable(os.Stdout, [][]string{
		{"", "old", "ours", "ours / old"},
		{"throughput, op/s", measure.Number(measure.Median(old)), measure.Number(measure.Median(ours)), measure.Number(measure.PairedRatio(ours, old))},
	})
	fmt.Println(err)
	// Output:
	// |                  |  old | ours | ours / old |
	// | ---------------- | ---: | ---: | ---------: |
	// | throughput, op/s | 1000 | 1200 |       1.20 |
	// <nil>
}
