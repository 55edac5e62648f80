package fxdb

import (
	"fmt"

	"github.com/agentagency/onepool/internal/admission"
)

// The values of DB_SHARING.
const (
	sharingOn     = "on"
	sharingDryRun = "dry-run" // nobody waits for it, it only counts
	sharingOff    = "off"
)

// newAdmission returns who decides about the pool's connections, nil where sharing
// is off.
func newAdmission(cfg Config, conns int) (*admission.Controller, error) {
	if cfg.Sharing == sharingOff {
		return nil, nil
	}
	c, err := admission.New(admission.Config{
		Capacity: conns, TenantMaxFraction: cfg.TenantMaxFraction, DryRun: cfg.Sharing == sharingDryRun,
	})
	if err != nil {
		return nil, fmt.Errorf("fxdb: %w", err)
	}
	return c, nil
}

// Admission returns who decides which client may take a connection, to change limits
// while the pool runs. It is nil where DB_SHARING is off.
func (db *DB) Admission() *admission.Controller { return db.client.monitor.Admission() }
