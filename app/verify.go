package main

import (
	"context"
	"fmt"
	"os"

	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/tenant/rls"
)

// verifying prints the report of rls.Verify about the database and ends, in place of serving.
// The start itself does not verify: the report is printed for every value of DB_VERIFY_TENANCY.
var verifying = fx.Options(
	fx.Decorate(func(cfg fxdb.Config) fxdb.Config {
		cfg.VerifyTenancy = "off"
		return cfg
	}),
	fx.Invoke(verify),
)

// verify depends on the pool, so fx starts verify after the pool has migrated. The exit code is
// 1 if tenant isolation is not sound.
func verify(lc fx.Lifecycle, db *fxdb.DB, cfg fxdb.Config, stop fx.Shutdowner) {
	var opts []rls.VerifyOption
	if cfg.TenantRole != "" {
		opts = append(opts, rls.Role(cfg.TenantRole))
	}
	lc.Append(fx.StartHook(func(ctx context.Context) error {
		report, err := rls.Verify(ctx, db, opts...)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprint(os.Stdout, report); err != nil {
			return fmt.Errorf("print the report: %w", err)
		}
		code := 0
		if !report.OK() {
			code = 1
		}
		return stop.Shutdown(fx.ExitCode(code))
	}))
}
