// Package bench compares testkit with pgtestdb, embedded-postgres and postgrestest: whole test
// processes of 50 tests, each with a database of 30 tables. testkit and pgtestdb share a
// throwaway server. The two other kits start a server in each process. The module is never
// tagged.
//
//	ONEPOOL_BENCH_ROUNDS=5 go test -run TestCompare -v .
//
// prints the medians of the rounds and their ratios. The processes of a round run one after
// another, so all kits meet the same machine.
package bench
