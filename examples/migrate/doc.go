// Migrate: from five clients with a pool each to a shared pool, a client at a time.
//
//	go run ./examples/migrate
//	go test ./examples/migrate
//
// The agency's clients once had a pool each: 20 connections for verification, 15 for the
// orchestrator, 10 for each of the remaining three, 65 together. A setting leads from the five
// pools to a shared pool of 20, and back:
//
//  1. Let every client take the client's *fxdb.DB from the same fxdb.Module. Name every client in
//     DB_DEDICATED with the size of the client's old pool, as name=connections. The application
//     behaves as before; the shared pool holds a single idle connection.
//  2. Take a client's name out of DB_DEDICATED and deploy. The client now works on the shared pool.
//     Look at the client's waits in the pool's statistics.
//  3. If the waits are too long, put the name back: the client gets the old pool back. If the waits
//     are fine, take out the next name, until DB_DEDICATED is empty.
//
// Move the client with the largest pool first. The shared pool of 20 then replaces a pool of the
// same size, and the total does not grow on the way.
//
// The program runs all steps on a throwaway server. At each step the program starts the application
// anew, and lets every client make 25 calls at once. Locked tables hold the calls while the program
// counts the connections on the server.
package main
