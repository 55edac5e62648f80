// Package testkit gives every test a separate PostgreSQL database on a real server. The test
// connects as a role that is neither superuser nor owner: a test under a superuser proves
// nothing about row-level security.
//
// [Swap] puts the database under the graph of an fx application. [DB] and [Pool] hand the
// database to a test without fx.
//
// TEST_DATABASE_URL, a superuser's connection string, names the server. Without
// TEST_DATABASE_URL, testkit starts a throwaway server from the binaries on the machine. All
// test processes that run at the same time share the server; nothing needs to be running. On
// a machine without server binaries, testkit takes a container if the test binary imports
// testkit/container, or downloads binaries if ONEPOOL_PG_DOWNLOAD is 1.
//
// testkit applies the migrations once per set of files, to a template, and clones databases
// from the template before tests ask for databases. A failed test keeps the database for a
// day and logs the connection string.
package testkit
