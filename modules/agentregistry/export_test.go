package agentregistry

import "github.com/jackc/pgx/v5"

// The statements of Get, and of the first page of List.
var (
	GetSQL  = getSQL
	ListSQL = listSQL(firstSQL, 51)
)

// FindSQL is the statement that picks the agents of a search, with the arguments.
func (q Query) FindSQL() (string, pgx.NamedArgs) { return q.ranked("") }

// In the tests a walk gives up early: the tests have few agents.
func init() { longestWalk = 500 }
