package agentregistry

// The statements of Get, and of the first page of List.
var (
	GetSQL  = getSQL
	ListSQL = listSQL(firstSQL, 51)
)

// In the tests a walk gives up early: the tests have few agents.
func init() { longestWalk = 500 }
