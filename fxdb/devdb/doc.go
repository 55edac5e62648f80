// Package devdb starts a throwaway PostgreSQL server for development and for
// tests, from the server binaries that are installed on the machine.
//
// Without binaries, [Start] downloads them if ONEPOOL_PG_DOWNLOAD is 1: see [Download].
//
// [Start] needs nothing but these binaries: no Docker, no configuration, no
// free port (the server listens on a unix socket only) and no rights (as root
// it runs the server as "postgres" or "nobody"). The first start on a machine
// runs initdb and keeps the result in the user's cache folder; later starts
// unpack that and take about a tenth of a second.
//
// The data lives in memory (/dev/shm) where there is room for it, is never
// synced to disk, and goes away with the server. The server goes away with the
// processes that use it, however these end: Stop, os.Exit, a panic or SIGKILL.
//
// Every server has the two login roles of an application with row-level
// security: [RoleOwner], which owns the schema and runs the migrations, and [RoleApp],
// which may read and write what RoleOwner creates but is bound by its policies.
// The server's time zone is UTC and its locale is C, wherever it runs.
package devdb
