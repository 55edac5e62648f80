package fxdb

import (
	"errors"

	"github.com/agentagency/onepool/internal/admission"
)

// newAdmission returns the controller of the pool's connections, and nil if sharing is
// off.
func newAdmission(cfg Config, conns int) (*admission.Controller, error) {
	if cfg.Sharing == SharingOff {
		return nil, nil
	}
	c, err := admission.New(admission.Config{
		Capacity: conns, TenantMaxFraction: cfg.TenantMaxFraction, DryRun: cfg.Sharing == SharingDryRun,
	})
	return c, limitError(err)
}

// Limits are the limits of one client on the pool. The zero value limits nothing.
// [DB.SetLimits] fails for a value outside the bounds.
type Limits struct {
	// MaxConns is how many connections the client may hold at once: 0 for no limit, or from 1
	// on and at least Reserve.
	MaxConns int
	// Reserve is how many connections stay reachable for the client, from 0 on. All reserves
	// together leave one connection of DB_POOL_MAX. Default 0.
	Reserve int
	// Weight is the client's share when clients compete, from 0 to 1,048,576. 0 is the default
	// of 1.
	Weight int
}

// Limits returns the limits of the handle's client.
func (db *DB) Limits() Limits {
	if db.client.permits == nil {
		return Limits{}
	}
	l := db.client.permits.Limits()
	return Limits{MaxConns: l.Max, Reserve: l.Reserve, Weight: l.Weight}
}

// SetLimits changes the limits of the handle's client while the pool runs. Limits below the
// connections that the client holds take nothing away. SetLimits fails with a [*ConfigError]
// for limits that can't be met, and with DB_SHARING off.
func (db *DB) SetLimits(l Limits) error {
	if db.client.permits == nil {
		return sharingIsOff(db.client.name)
	}
	return limitError(db.client.permits.SetLimits(admission.Limits{Max: l.MaxConns, Reserve: l.Reserve, Weight: l.Weight}))
}

// SetTenantMaxFraction changes DB_TENANT_MAX_FRACTION while the pool runs: the largest
// fraction of the pool, from 0 to 1, that one tenant may hold. 0 is no limit.
// SetTenantMaxFraction fails with a [*ConfigError] for another value, and with DB_SHARING off.
func (db *DB) SetTenantMaxFraction(fraction float64) error {
	a := db.client.monitor.Admission()
	if a == nil {
		return sharingIsOff("")
	}
	return limitError(a.SetTenantMaxFraction(fraction))
}

func sharingIsOff(client string) error {
	return &ConfigError{Client: client, Setting: "DB_SHARING", Reason: "is off: use on or dry-run to limit clients and tenants"}
}

// limitSettings are fxdb's names of admission's fields.
var limitSettings = map[string]string{
	"Capacity": "DB_POOL_MAX", "TenantMaxFraction": "DB_TENANT_MAX_FRACTION",
	"Max": "MaxConns", "Reserve": "Reserve", "Weight": "Weight",
}

// limitError returns an error of admission as a [*ConfigError].
func limitError(err error) error {
	var invalid *admission.InvalidError
	if !errors.As(err, &invalid) {
		return err
	}
	return &ConfigError{Client: invalid.Client, Setting: limitSettings[invalid.Field], Reason: invalid.Reason}
}
