// The agency server: every database client of the agency on one pool.
//
//	go run ./app
//	go run ./app verify
//	go run ./app demo
//	go run ./app help
//
// With no setting at all it starts a throwaway PostgreSQL server, migrates it
// and serves on 127.0.0.1:8080. ADDR changes the address; DATABASE_URL and the
// DB_* settings of package fxdb name another database, and DB_MIGRATE=true
// migrates that one too. OPERATOR_TOKEN is for who may see tenants' names in /stats.
// The address is taken first, before anything is started or migrated. SIGTERM and Ctrl-C stop it cleanly.
//
// With verify it prints what rls.Verify says of that same database, and ends:
// with exit code 1 where it does not keep tenants apart.
//
// With demo it plays a small agency on that database: three tenants, whose workers
// claim tasks, research them in documents that were fetched, have the answers
// verified and finish the tasks. It prints what the database says of it, and how many
// connections the server saw, and ends: with exit code 1 where a figure is wrong. Its
// rows stay, under tenants of its own.
package main
