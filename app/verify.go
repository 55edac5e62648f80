package main

import (
	"context"
	"fmt"
	"os"

	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/tenant/rls"
)

// verifying is what the application does in place of serving: print what
// rls.Verify says of its database, and end. The start itself does not verify,
// so that the report is printed whatever DB_VERIFY_TENANCY says.
var verifying = fx.Options(
	fx.Decorate(func(cfg fxdb.Config) fxdb.Config {
		cfg.VerifyTenancy = "off"
		return cfg
	}),
	fx.Invoke(verify),
)

// verify depends on the pool, so fx starts it when the pool has migrated. The exit
// code is 1 where tenant isolation is not sound.
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
