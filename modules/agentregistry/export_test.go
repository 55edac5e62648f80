package agentregistry

// In the tests a walk gives up early: the tests have few agents.
func init() { longestWalk = 500 }
