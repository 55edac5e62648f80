package fxdb

import "github.com/agentagency/onepool/lifecycle"

// StartMode is the type of [Config].Start: how the start treats a server that does not answer.
type StartMode = lifecycle.StartMode

const (
	// StartRequire fails the start if the server can't be reached.
	StartRequire StartMode = lifecycle.StartRequire
	// StartWait retries with backoff for four fifths of fx's start time.
	StartWait StartMode = lifecycle.StartWait
	// StartDegrade starts with a warning, and connects and migrates in the background.
	// Until then every use fails with ErrNotStarted. A migration that fails in the background
	// ends the start for good, and the log says so.
	StartDegrade StartMode = lifecycle.StartDegrade
)

// NestedMode is the type of [Config].NestedAcquire: how the pool treats nested acquires.
type NestedMode = lifecycle.NestedMode

const (
	// NestedOff does not look for nested acquires.
	NestedOff NestedMode = lifecycle.NestedOff
	// NestedWarn logs a nested acquire, once for each client.
	NestedWarn NestedMode = lifecycle.NestedWarn
	// NestedStrict fails a nested acquire with ErrNestedAcquire.
	NestedStrict NestedMode = lifecycle.NestedStrict
)

// SharingMode is the type of [Config].Sharing: how clients share the pool.
type SharingMode string

const (
	// SharingOn serves clients and tenants fairly.
	SharingOn SharingMode = "on"
	// SharingDryRun counts the acquires that would have waited, and lets nobody wait.
	SharingDryRun SharingMode = "dry-run"
	// SharingOff leaves the pool to the first caller.
	SharingOff SharingMode = "off"
)

// VerifyMode is the type of [Config].VerifyTenancy: how the start treats findings of [rls.Verify].
type VerifyMode string

const (
	// VerifyOff does not verify.
	VerifyOff VerifyMode = "off"
	// VerifyWarn logs the findings of the verifier.
	VerifyWarn VerifyMode = "warn"
	// VerifyRequire fails the start if the verifier finds an error.
	VerifyRequire VerifyMode = "require"
)

// PoolerMode is the type of [Config].Pooler: the kind of pooler between the pool and the server.
type PoolerMode string

const (
	// PoolerNone says that the pool connects to the server itself.
	PoolerNone PoolerMode = "none"
	// PoolerTransaction says that the pool connects to PgBouncer or its like in transaction
	// mode.
	PoolerTransaction PoolerMode = "transaction"
)
