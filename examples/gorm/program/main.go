// gorm on the application's one pool. Row-level security keeps two tenants of one table
// apart, without a WHERE clause.
//
//	go -C examples/gorm/program run .
package main

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	"go.uber.org/fx"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/fxdb/fxdbsql"
	"github.com/agentagency/onepool/tenant"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Note is a row. Note has no tenant: the server fills in and checks the tenant.
type Note struct {
	ID   int64 `gorm:"primaryKey"`
	Body string
}

// TableName is for gorm.
func (Note) TableName() string { return "notes.notes" }

// NewGorm takes the client's *sql.DB. The pool has not started, so gorm must
// not ping the pool.
func NewGorm(db *sql.DB) (*gorm.DB, error) {
	return gorm.Open(postgres.New(postgres.Config{Conn: db}), &gorm.Config{
		DisableAutomaticPing: true,
		TranslateError:       true,
		Logger:               logger.Discard, // errors are returned
	})
}

// Module is the application: the pool and one client, which uses gorm.
var Module = fx.Options(
	fxdb.Module,
	fxdb.Migrations("notes", migrations),
	fx.Module("notes",
		fxdb.Named("notes", fxdb.RequireTenant()),
		fxdbsql.Module,
		fx.Provide(NewGorm),
	),
)

// Show works as two tenants and prints the rows of each tenant.
func Show(ctx context.Context, out io.Writer, db *gorm.DB) error {
	acme := db.WithContext(tenant.NewContext(ctx, tenant.Identity{Tenant: "acme"}))
	globex := db.WithContext(tenant.NewContext(ctx, tenant.Identity{Tenant: "globex"}))

	first := Note{Body: "acme's first"}
	if err := errors.Join(
		acme.Create(&first).Error,
		globex.Create(&Note{Body: "globex's only"}).Error,
		acme.Transaction(func(tx *gorm.DB) error { return tx.Create(&Note{Body: "acme's second"}).Error }),
	); err != nil {
		return err
	}
	for _, who := range []struct {
		name string
		db   *gorm.DB
	}{{"acme", acme}, {"globex", globex}} {
		var notes []Note
		if err := who.db.Order("id").Find(&notes).Error; err != nil {
			return err
		}
		fmt.Fprintf(out, "%s has %d, the last is %q\n", who.name, len(notes), notes[len(notes)-1].Body)
	}
	// No WHERE names the tenant: the policies hide the other tenant's rows.
	changed := globex.Model(&Note{}).Where("id = ?", first.ID).Update("body", "stolen")
	if changed.Error != nil {
		return changed.Error
	}
	fmt.Fprintf(out, "globex changed %d of acme's\n", changed.RowsAffected)

	err := db.WithContext(ctx).Find(&[]Note{}).Error
	fmt.Fprintf(out, "without a tenant: refused %t\n", errors.Is(err, fxdb.ErrTenantRequired))
	return nil
}

func main() {
	var db *gorm.DB
	app := fx.New(Module, devdb.Module, fx.NopLogger, fx.Populate(&db))
	ctx := context.Background()
	if err := app.Start(ctx); err != nil {
		log.Fatal(err)
	}
	err := Show(ctx, os.Stdout, db)
	if err := errors.Join(err, app.Stop(ctx)); err != nil {
		log.Fatal(err)
	}
}
