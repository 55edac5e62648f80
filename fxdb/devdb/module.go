package devdb

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/graph"
)

// Module gives an fx application a throwaway server if no setting names a database. Module sets
// fxdb.Config's URL to the role [RoleApp] and MigrateURL to the role [RoleOwner], and switches
// migrations on. The server is gone when the application has stopped. If a setting names a
// database, Module does nothing. Pools of fxdb.ModuleNamed get databases of their own on the
// same server.
//
// Module logs the chosen server in a line at info level.
var Module = fx.Module("devdb", fx.Provide(provide))

// startTimeout covers a first start on the machine, initdb included.
const startTimeout = 30 * time.Second

// downloadTimeout covers the download of the server binaries too.
const downloadTimeout = 10 * time.Minute

func provide(p struct {
	fx.In
	Lifecycle fx.Lifecycle
	Log       *zap.Logger `optional:"true"`
}) graph.Fallback[fxdb.Config] {
	var server *Server // of all pools
	return func(pool graph.Pool, cfg fxdb.Config) (fxdb.Config, error) {
		limit := startTimeout
		if newConfig(nil).download {
			limit = downloadTimeout
		}
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		if server == nil {
			started, err := Start(ctx)
			if err != nil {
				return cfg, fmt.Errorf("devdb: no setting names a database, and no throwaway server can be had: %w", err)
			}
			server = started
			p.Lifecycle.Append(fx.Hook{OnStop: server.Stop})
		}
		database := "app"
		if pool != "" {
			database += "_" + string(pool)
		}
		if err := server.CreateDatabase(ctx, database); err != nil {
			_ = server.Stop(ctx)
			return cfg, err
		}
		if p.Log != nil {
			p.Log.Info("throwaway database, because no setting names a database: set DATABASE_URL to use a server of your own", zap.Stringer("server", server), zap.String("database", database))
		}
		cfg.URL = server.DatabaseURL(RoleApp, database)
		cfg.MigrateURL = server.DatabaseURL(RoleOwner, database)
		cfg.Migrate = true
		return cfg, nil
	}
}
