package orchestrator

import "fmt"

// ClaimBehindSQL is the statement of a claim of a task from a position.
var ClaimBehindSQL = fmt.Sprintf(claimBehindSQL, 1)
