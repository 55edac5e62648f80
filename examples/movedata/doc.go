// Movedata: from the old shared tables of five clients to the clients' schemas with tenants.
//
//	go run ./examples/movedata                 # the whole way on a throwaway server
//	go run ./examples/movedata -url … -dry-run # count the rows, and list the rows that can't move
//	go run ./examples/movedata -url …          # move; run again until nothing moves
//	go run ./examples/movedata -url … -back    # delete the moved rows
//	go test ./examples/movedata
//
// docs/moving-data.md describes the steps. The program reads the old tables and never changes
// the old tables. The program writes as each tenant under row-level security, so no row moves
// to a wrong tenant.
package main
