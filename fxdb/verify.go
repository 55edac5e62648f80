package fxdb

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/fx"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/agentagency/onepool/internal/graph"
	"github.com/agentagency/onepool/tenant/rls"
)

// TenancyError fails the start if DB_VERIFY_TENANCY is require and rls.Verify found a
// problem of level error. errors.Is finds rls.ErrUnsound.
type TenancyError struct {
	Report rls.Report
}

// Error names the setting, the role and the findings.
func (e *TenancyError) Error() string {
	return fmt.Sprintf("fxdb: DB_VERIFY_TENANCY=require: %v", e.Report.Err())
}

// Unwrap returns the report's own error.
func (e *TenancyError) Unwrap() error { return e.Report.Err() }

// VerifyOptions contributes options to the verification of DB_VERIFY_TENANCY: rls.Allow
// for an intended finding, rls.Column or rls.Tables if the tenant column is not tenant_id.
// The role is DB_TENANT_ROLE, else the pool's own role. Inside [ModuleNamed] the options
// belong to the named pool, else to the pool of [Module].
func VerifyOptions(opts ...rls.VerifyOption) fx.Option {
	return fx.Provide(fx.Annotate(func(of graph.Pool) graph.Verify { return graph.Verify{Pool: of, Options: opts} },
		fx.ParamTags(`optional:"true"`), fx.ResultTags(`group:"onepool.verify"`)))
}

// WithVerifyOptions is [VerifyOptions] for [Open].
func WithVerifyOptions(opts ...rls.VerifyOption) Option {
	return option(func(o *options) { o.verify = append(o.verify, opts...) })
}

// verifyByDefault lets the start warn if no setting chooses a mode: a throwaway database
// has new tables.
func (c *Config) verifyByDefault() {
	if c.VerifyTenancy == c.filled.verify {
		c.VerifyTenancy, c.unasked = VerifyWarn, true
	}
}

// requiresTenant reports whether a client refuses work without a tenant.
func (c *core) requiresTenant() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.clients, func(cl *client) bool { return cl.requireTenant.Load() })
}

// verifyTenancy verifies as DB_VERIFY_TENANCY says, and logs the findings of rls.Verify.
// If the mode is require, verifyTenancy fails with a [*TenancyError], or because the
// database can't be asked.
func (c *core) verifyTenancy(ctx context.Context, startup *startConn, o options) error {
	cfg, log := c.cfg, o.log
	if cfg.VerifyTenancy == VerifyOff {
		return nil
	}
	began := time.Now()
	if cfg.VerifyTenancy == VerifyWarn { // a verification that only warns must leave time to start
		var cancel context.CancelFunc
		ctx, cancel = halfOfTheTime(ctx)
		defer cancel()
	}
	opts := o.verify
	if cfg.TenantRole != "" {
		opts = append(opts[:len(opts):len(opts)], rls.Role(cfg.TenantRole))
	}
	var report rls.Report
	err := startup.ask(ctx, func(conn *pgx.Conn) (err error) {
		report, err = rls.Verify(ctx, conn, opts...)
		return err
	})
	if err != nil {
		err = fmt.Errorf("fxdb: DB_VERIFY_TENANCY=%s: %w", cfg.VerifyTenancy, err)
		if cfg.VerifyTenancy == VerifyRequire {
			return err
		}
		log.Warn("tenant isolation could not be verified", zap.Error(err))
		return nil
	}
	warnings := report.Count(rls.LevelWarn)
	for _, f := range report.Findings {
		if f.Code == "tables-none" && cfg.unasked && !c.requiresTenant() {
			warnings-- // the application has no tenants
			continue
		}
		level := zapcore.WarnLevel
		if f.Level == rls.LevelNote || f.Allowed != "" {
			level = zapcore.InfoLevel
		}
		log.Log(level, "tenant isolation", zap.String("code", f.Code), zap.String("finding_level", string(f.Level)), zap.String("object", f.Object),
			zap.String("consequence", f.Consequence), zap.String("fix", f.Fix), zap.String("allowed", f.Allowed))
	}
	log.Info("tenant isolation verified", zap.String("role", report.Role), zap.Int("tables", len(report.Tables)),
		zap.Int("errors", report.Count(rls.LevelError)), zap.Int("warnings", warnings), zap.Duration("elapsed", time.Since(began)))
	if cfg.VerifyTenancy == VerifyRequire && !report.OK() {
		return &TenancyError{report}
	}
	return nil
}
