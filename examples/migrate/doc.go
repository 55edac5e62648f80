// Migrate: from five clients with a pool each to one pool, a client at a time.
//
//	go run ./examples/migrate
//	go test ./examples/migrate
//
// The agency's clients once had pools of their own: 20 connections for
// verification, 15 for the orchestrator, 10 for each of the others, 65 together. The
// way from there to one pool of 20 is a setting, and so is the way back:
//
//  1. Let every client take its *fxdb.DB from one fxdb.Module, and name all of them in
//     DB_DEDICATED with the size of its old pool, as name=connections. The
//     application behaves as before; the shared pool has one connection, and no use.
//  2. Take one name out of DB_DEDICATED and deploy. That client works on the shared
//     pool now. Look at its waits in the pool's statistics.
//  3. Where they are too long, put the name back: that is the whole way back. Else take
//     out the next one, until DB_DEDICATED is empty.
//
// Move the largest pool first. The shared pool of 20 takes the place of one that was
// as large then, and the total does not grow on the way.
//
// The program does all of this on a throwaway server. At each step it starts the
// application anew, lets every client ask 25 times at once, holds all of them at
// locked tables, and counts the connections on the server.
package main
