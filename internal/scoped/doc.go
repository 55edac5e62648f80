// Package scoped sends a statement and its scope in one write. The scope sets the tenant, the
// role and the limits, local to the transaction of the statement: nothing stays on the
// connection.
//
// fxdb decides which scope a statement has, acquires the connection, and retries. scoped gets
// the connection and a [Scope], writes the messages, and reads the answers. scoped knows no
// pool, no client of a pool and no retry.
//
// # The messages
//
// A statement that is new on the connection takes a round trip first. The scope runs before
// the preparation of the statement: the server looks up names as the scope's role, and waits
// for locks within the scope's limits.
//
//	client ──▶ Parse onepool_1 (scope)   Describe
//	           Bind onepool_1            Execute     the scope for the preparation
//	           Parse onepool_2 (text)    Describe
//	           Sync
//	server ──▶ ParseComplete  BindComplete CommandComplete  ParseComplete  ReadyForQuery
//
// From then on a statement is a single write, in one implicit transaction. ReadyForQuery is
// the commit (PostgreSQL's documentation, 55.2.4 "Pipelining").
//
//	client ──▶ [Parse begin  Bind  Execute]          the first statement of a transaction, or a
//	                                                 text that could commit inside itself
//	           Bind onepool_1 ($1 tenant, $2 user, …)  Execute
//	           [Bind limit  Execute]                 the deadline of a transaction's statement
//	           Bind onepool_2 (its arguments)  Describe  Execute
//	           [Bind restore  Execute]
//	           [Parse commit  Bind  Execute]         if scoped itself sent the begin
//	           Sync
//	           [Parse look  Bind  Execute  Sync]     DB_SESSION_CHECK: the next holder reads the answer
//	server ──▶ CommandComplete of the scope          no tracer and no caller sees the result
//	           RowDescription DataRow … CommandComplete
//	           ReadyForQuery
//
// A batch repeats the statement's messages. [Arrays] sends the rows of a copy as one array for
// each column, after the same scope. In a mode without prepared names, Parse of the text
// precedes each Bind.
//
// # The rooms
//
//	settings  scope     which settings a scope has: text, arguments and wire values of one list
//	engine              what all exchanges of a pool share: mode, tracer, capacity
//	refuse    effects   which texts would end or change a scope
//	exchange  block     one write and its answers, with one beginning and one end
//	flight    rows      a statement, and the rows of a statement
//	scan      failed    the first row of a statement; the rows of an unsent statement
//	batch     arrays    a batch; a copy
//	statements          what a connection has prepared, in the place of pgx's cache
//	byname              a statement that the caller has prepared by name
//	deadline  limit     the caller's deadline, as the server's limit
//	lost                errors of a broken connection: was the statement sent?
//	preprocessing       pgx's error of a batch that pgx can't build
package scoped
