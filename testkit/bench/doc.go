// Package bench compares testkit with pgtestdb: whole test processes of 50 tests, each with
// a database of 30 tables, on one throwaway server. The module is never tagged.
//
//	ONEPOOL_BENCH_ROUNDS=5 go test -run TestCompare -v .
//
// prints the medians of the rounds and their ratios. The processes of a round run one after
// another, so both kits meet the same machine.
package bench
