package fxdb

import "github.com/agentagency/onepool/lifecycle"

// Values of Config.Start.
const (
	// StartRequire fails the start if the server can't be reached.
	StartRequire = string(lifecycle.StartRequire)
	// StartWait retries with backoff for four fifths of fx's start time.
	StartWait = string(lifecycle.StartWait)
	// StartDegrade starts with a warning, and connects and migrates in the background.
	// Until then every use fails with ErrNotStarted. A migration that fails in the background
	// ends the start for good, and the log says so.
	StartDegrade = string(lifecycle.StartDegrade)
)

// Values of Config.NestedAcquire, see [lifecycle.NestedMode].
const (
	// NestedOff does not look for nested acquires.
	NestedOff = string(lifecycle.NestedOff)
	// NestedWarn logs a nested acquire, once for each client.
	NestedWarn = string(lifecycle.NestedWarn)
	// NestedStrict fails a nested acquire with ErrNestedAcquire.
	NestedStrict = string(lifecycle.NestedStrict)
)

// Values of Config.Sharing.
const (
	// SharingOn serves clients and tenants fairly.
	SharingOn = "on"
	// SharingDryRun counts the acquires that would have waited, and lets nobody wait.
	SharingDryRun = "dry-run"
	// SharingOff leaves the pool to the first caller.
	SharingOff = "off"
)

// Values of Config.VerifyTenancy.
const (
	// VerifyOff does not verify.
	VerifyOff = "off"
	// VerifyWarn logs the findings of the verifier.
	VerifyWarn = "warn"
	// VerifyRequire fails the start if the verifier finds an error.
	VerifyRequire = "require"
)

// Values of Config.Pooler.
const (
	// PoolerNone says that the pool connects to the server itself.
	PoolerNone = "none"
	// PoolerTransaction says that the pool connects to PgBouncer or its like in transaction
	// mode.
	PoolerTransaction = "transaction"
)
