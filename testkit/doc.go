// Package testkit gives every test a PostgreSQL database of its own, on a real
// server, connected as a role that is neither superuser nor owner: a test under
// a superuser proves nothing about row-level security.
//
// Swap puts such a database under the graph of an fx application, DB and Pool
// hand it to a test without fx. The server is the one that TEST_DATABASE_URL
// names (a superuser's connection string), else a throwaway server from the
// binaries on this machine, shared by all test processes that run at the same
// time; nothing needs to be running. On a machine without server binaries, testkit takes
// a container if the test binary imports testkit/container, or downloads binaries if
// ONEPOOL_PG_DOWNLOAD is 1.
//
// The migrations are applied once per set of files, to a template that each
// test's database is cloned from, before a test asks for the database. A test that fails
// keeps its database for a day and logs its connection string.
package testkit
