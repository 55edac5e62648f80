package fxdb

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentagency/onepool/internal/scoped"
)

// Taints reports whether a text may leave something for the connection's next user.
func Taints(sql string) bool { return !scoped.EffectsOf(sql, false).Plain() }

// ConnConfig is what the pool would be built from.
func ConnConfig(t testing.TB, c Config) *pgxpool.Config {
	t.Helper()
	pc, err := c.withDefaults().poolConfig()
	if err != nil {
		t.Fatal(err)
	}
	return pc
}

// MigrateConfig is what migrations would connect with.
func MigrateConfig(t testing.TB, c Config) *pgxpool.Config {
	t.Helper()
	pc, err := c.withDefaults().migrateConfig()
	if err != nil {
		t.Fatal(err)
	}
	return pc
}
