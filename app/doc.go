// The agency server: every database client of the agency on one pool.
//
//	go run ./app
//	go run ./app verify
//	go run ./app demo
//	go run ./app help
//
// Without any setting the agency starts a throwaway PostgreSQL server, migrates the database
// and serves on 127.0.0.1:8080. ADDR changes the address. DATABASE_URL and the DB_* settings of
// package fxdb name another database, and DB_MIGRATE=true migrates the named database. A caller
// with OPERATOR_TOKEN sees tenants' names in /stats. The agency listens on the address before
// anything starts or migrates. SIGTERM and Ctrl-C stop the agency cleanly.
//
// With verify the agency prints the report of rls.Verify about the same database, and ends:
// with exit code 1 if the database does not keep tenants apart.
//
// With demo the agency plays a small agency on the same database. The workers of three tenants
// claim tasks, research answers in fetched documents, verify the answers and finish the tasks.
// The demo prints the database's figures and the server's count of connections, and ends: with
// exit code 1 if a figure is wrong. The demo's rows stay, under the demo's own tenants.
package main
