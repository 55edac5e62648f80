// Package devdb starts a throwaway PostgreSQL server for development and for tests, from the
// server binaries on the machine.
//
// Without binaries, [Start] downloads binaries if ONEPOOL_PG_DOWNLOAD is 1: see [Download].
//
// [Start] needs nothing but the binaries: no Docker, no configuration, no free port (the server
// listens on a unix socket only) and no rights (root runs the server as "postgres" or
// "nobody"). The first start on a machine runs initdb and keeps the result in the user's cache
// folder. Later starts unpack the kept result and take about a tenth of a second.
//
// The data lives in memory (/dev/shm) if memory has room, is never synced to disk, and goes
// away with the server. The server goes away with the processes that use the server, for every
// end of a process: Stop, os.Exit, a panic or SIGKILL.
//
// Every server has the two login roles of an application with row-level security. [RoleOwner]
// owns the schema and runs the migrations. [RoleApp] may read and write RoleOwner's tables,
// within the policies of the tables. The server's time zone is UTC and the locale is C, on
// every machine.
package devdb
