package rls

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/tenant"
)

// Querier is what Verify needs of a connection: *pgxpool.Pool, *pgx.Conn, pgx.Tx
// and *fxdb.DB have it.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	Begin(ctx context.Context) (pgx.Tx, error)
}

// ErrOption is what Verify returns for an option that can't be meant.
var ErrOption = errors.New("bad option")

// VerifyOption changes what Verify looks at.
type VerifyOption func(*verifyOptions)

type verifyOptions struct {
	tables  []Table
	column  string
	role    string
	allowed []*allowance
	misuse  error

	probeTimeout string
}

type allowance struct {
	code, object, reason string
	used                 bool
}

func (o *verifyOptions) fail(format string, args ...any) {
	o.misuse = errors.Join(o.misuse, fmt.Errorf(format, args...))
}

// Tables declares the tables that belong to tenants, and their columns: one that
// is missing is an error then, and others are not looked at. Of a Table only
// Name and Column count; an empty Column is that of Column. Default: every
// table with the tenant column, and every one with a policy that reads
// TenantSetting.
func Tables(tables ...Table) VerifyOption {
	return func(o *verifyOptions) { o.tables = append(o.tables, tables...) }
}

// Column names the tenant column. Default: tenant_id.
func Column(name string) VerifyOption {
	return func(o *verifyOptions) { o.column = name }
}

// Role makes Verify look at the role that the connection takes together with
// the tenant. Default: the role that the connection works as.
func Role(name string) VerifyOption {
	return func(o *verifyOptions) { o.role = name }
}

// Allow keeps a finding from counting: it stays in the report, with the reason,
// which must be given. object is Finding.Object, or "*" for all of the code's.
// An allowance that matches nothing is reported.
func Allow(code, object, reason string) VerifyOption {
	return func(o *verifyOptions) {
		if _, ok := checkOf(code); !ok {
			o.fail("allow %q: unknown code: see rls.Codes", code)
		}
		if strings.TrimSpace(object) == "" {
			o.fail("allow %q: no object: name one, or \"*\"", code)
		}
		if strings.TrimSpace(reason) == "" {
			o.fail("allow %q on %q: no reason: say why", code, object)
		}
		o.allowed = append(o.allowed, &allowance{code: code, object: object, reason: reason})
	}
}

// Verify checks that row-level security keeps tenants apart for the role that db
// works as: the role's powers, the tables, their policies and grants, and what
// leads around them. It looks at the catalogs and at what a live connection
// shows, in one read-only transaction that it rolls back, and in a second one
// that sets a tenant and commits, to see that it is gone. An identity in ctx is
// ignored.
//
// The report holds what was found; that is not an error of Verify. Verify fails
// when the database can't be asked, and with ErrOption for an option that can't
// be meant.
//
// db may be a transaction: what it has changed is seen, and the tenant is not
// tried across a commit. Reading all tables with no tenant is limited to two
// seconds for each step.
func Verify(ctx context.Context, db Querier, opts ...VerifyOption) (Report, error) {
	o := verifyOptions{column: "tenant_id", probeTimeout: defaultProbeTimeout}
	for _, opt := range opts {
		opt(&o)
	}
	declared, err := o.declared()
	if err = errors.Join(o.misuse, err); err != nil {
		return Report{}, fmt.Errorf("verify tenancy: %w: %w", ErrOption, err)
	}
	ctx = tenant.System(ctx, "verify tenancy")
	v := &verifier{opts: o, declared: declared}
	if err := v.look(ctx, db); err != nil {
		return Report{}, fmt.Errorf("verify tenancy: %w", err)
	}
	if err := v.tryCommit(ctx, db); err != nil {
		return Report{}, fmt.Errorf("verify tenancy: %w", err)
	}
	return v.report(), nil
}

// declaration is a Table of the option Tables. schema is empty where the search
// path decides.
type declaration struct{ schema, table, column string }

func (o *verifyOptions) declared() ([]declaration, error) {
	if err := checkName(o.column); err != nil {
		return nil, fmt.Errorf("column %s %w", shown(o.column), err)
	}
	var out []declaration
	for _, t := range o.tables {
		parts, err := splitName(t.Name)
		if err != nil {
			return nil, fmt.Errorf("table %s %w", shown(t.Name), err)
		}
		d := declaration{table: parts[len(parts)-1], column: t.Column}
		if len(parts) == 2 {
			d.schema = parts[0]
		}
		if d.column == "" {
			d.column = o.column
		}
		if err := checkName(d.column); err != nil {
			return nil, fmt.Errorf("column %s of %s %w", shown(d.column), shown(t.Name), err)
		}
		out = append(out, d)
	}
	return out, nil
}

// verifier is one run of Verify.
type verifier struct {
	opts     verifyOptions
	declared []declaration
	*catalog
	findings []Finding
}

// look reads and probes in a transaction that is rolled back.
func (v *verifier) look(ctx context.Context, db Querier) (err error) {
	tx, err := db.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if e := tx.Rollback(context.WithoutCancel(ctx)); e != nil && err == nil {
			err = e
		}
	}()
	if _, err := tx.Exec(ctx, "set transaction read only"); err != nil {
		return err
	}
	if v.opts.role != "" {
		if _, err := tx.Exec(ctx, "select set_config('role', $1, true)", v.opts.role); err != nil {
			return fmt.Errorf("take the role %s: %w", v.opts.role, err)
		}
	}
	if v.catalog, err = readCatalog(ctx, tx, v.opts.column, v.declared); err != nil {
		return err
	}
	v.checkSession(tx.Conn())
	v.checkRole()
	v.checkSurroundings()
	v.checkDeclared()
	v.checkTables()
	v.checkPolicies()
	v.checkOred()
	v.checkFunctions()
	v.checkWays()
	v.checkViews()
	v.checkPrivileges()
	v.checkColumns()
	v.checkKeys()
	if v.session.bypasses() {
		return nil // a probe would find every row, and say no more than this
	}
	if err := v.probeRows(ctx, tx); err != nil {
		return err
	}
	return v.probePolicies(ctx, tx)
}

// add reports a finding of the code's usual level.
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

// found reports whether one of the codes was reported for the object.
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
			v.add("allow-unused", a.code+":"+a.object, "-- remove the allowance", "The allowance matches nothing any more and would hide the next finding of its kind.")
		}
	}
	slices.SortStableFunc(v.findings, func(a, b Finding) int {
		return slices.Index(levels, a.Level) - slices.Index(levels, b.Level)
	})
	r := Report{Database: v.session.Database, Role: v.session.Role, Server: v.session.Server, Findings: v.findings}
	for _, t := range v.scoped {
		r.Tables = append(r.Tables, t.object())
	}
	return r
}
