package rls

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/tenant"
)

// Querier is a connection that Verify can use: *pgxpool.Pool, *pgx.Conn, pgx.Tx and *fxdb.DB
// implement Querier.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	Begin(ctx context.Context) (pgx.Tx, error)
}

// Verify checks that row-level security keeps tenants apart for the role of db. Verify judges
// the role's attributes, the tables, their policies and grants, and the views, functions,
// triggers and settings that lead past the policies. Verify reads the catalogs and probes the
// policies in one read-only transaction, and rolls the transaction back. A second transaction
// sets a tenant and commits, and Verify checks whether the tenant is gone. Verify ignores an
// identity in ctx.
//
// Findings are no error of Verify: the report holds them. Verify fails if the database does
// not answer, and with [ErrOption] for a bad option.
//
// db may be a transaction: Verify sees the transaction's changes, and does not try a tenant
// across a commit. A probe that reads tables ends after two seconds.
func Verify(ctx context.Context, db Querier, opts ...VerifyOption) (Report, error) {
	o := verifyOptions{column: "tenant_id", probeTimeout: defaultProbeTimeout}
	for _, opt := range opts {
		opt(&o)
	}
	declared, err := o.declared()
	if err = errors.Join(o.optionErr, err); err != nil {
		return Report{}, fmt.Errorf("verify tenancy: %w: %w", ErrOption, err)
	}
	ctx = tenant.System(ctx, "verify tenancy")
	v := &verifier{opts: o, declared: declared}
	if err := v.read(ctx, db); err != nil {
		return Report{}, fmt.Errorf("verify tenancy: %w", err)
	}
	if err := v.tryCommit(ctx, db); err != nil {
		return Report{}, fmt.Errorf("verify tenancy: %w", err)
	}
	return v.report(), nil
}

// verifier is one run of Verify.
type verifier struct {
	opts     verifyOptions
	declared []declaration
	*catalog
	findings []Finding
}

// set sets the role or the tenant of the transaction. *fxdb.DB with DB_TENANT_ROLE refuses such
// texts, except on the connection itself.
func set(ctx context.Context, tx pgx.Tx, sql string, args ...any) error {
	_, err := tx.Conn().Exec(ctx, sql, args...)
	return err
}

// read reads the catalog and probes the policies in a transaction, and rolls the transaction back.
func (v *verifier) read(ctx context.Context, db Querier) (err error) {
	tx, err := db.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if e := tx.Rollback(context.WithoutCancel(ctx)); e != nil && err == nil {
			err = e
		}
	}()
	// The server would compile the catalog queries for longer than they run.
	for _, sql := range []string{"set transaction read only", "set local jit = off"} {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	if v.opts.role != "" {
		if err := set(ctx, tx, "select set_config('role', $1, true)", v.opts.role); err != nil {
			return fmt.Errorf("take the role %s: %w", v.opts.role, err)
		}
	}
	if v.catalog, err = readCatalog(ctx, tx, v.opts.column, v.declared); err != nil {
		return err
	}
	v.checkSession(tx.Conn())
	v.checkVersion()
	v.checkRole()
	v.checkSurroundings()
	v.checkDeclared()
	v.checkTables()
	v.checkPolicies()
	v.checkChildren()
	v.checkOred()
	v.checkFunctions()
	v.checkEffects()
	v.checkViews()
	v.checkPrivileges()
	v.checkColumns()
	v.checkKeys()
	if v.session.bypasses() {
		return nil // a probe would find every row
	}
	if err := v.probeRows(ctx, tx); err != nil {
		return err
	}
	return v.probePolicies(ctx, tx)
}

// add reports a finding of the check's level.
func (v *verifier) add(code, object, fix, consequence string, args ...any) {
	c, _ := checkOf(code)
	v.addAs(c.level, c.direction, code, object, fix, consequence, args...)
}

func (v *verifier) addAs(level Level, direction Direction, code, object, fix, consequence string, args ...any) {
	if len(args) > 0 {
		consequence = fmt.Sprintf(consequence, args...)
	}
	v.findings = append(v.findings, Finding{Code: code, Level: level, Object: object, Consequence: consequence, Fix: fix, Direction: direction})
}

// found reports whether the object has a finding of one of the codes.
func (v *verifier) found(object string, codes ...string) bool {
	return slices.ContainsFunc(v.findings, func(f Finding) bool {
		return f.Object == object && slices.Contains(codes, f.Code)
	})
}

var levels = []Level{LevelError, LevelWarn, LevelNote}

func (v *verifier) report() Report {
	for i := range v.findings {
		f := &v.findings[i]
		for _, a := range v.opts.allowed {
			if a.code == f.Code && (a.object == "*" || a.object == f.Object) {
				f.Allowed, a.used = a.reason, true
			}
		}
	}
	for _, a := range v.opts.allowed {
		if !a.used {
			v.add("allow-unused", a.code+":"+a.object, "-- remove the allowance", "The allowance matches no finding, and would hide the next finding of the code.")
		}
	}
	slices.SortStableFunc(v.findings, func(a, b Finding) int {
		return slices.Index(levels, a.Level) - slices.Index(levels, b.Level)
	})
	r := Report{Database: v.session.Database, Role: v.session.Role, Server: v.session.Server, Findings: v.findings}
	for _, t := range v.scoped {
		r.Tables = append(r.Tables, t.object())
	}
	r.NotJudged, r.Advice = v.notJudged(), v.advice()
	return r
}
