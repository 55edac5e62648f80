package orchestrator

// ClaimBehindSQL is the statement of a claim from a position.
var ClaimBehindSQL = claimBehindSQL
