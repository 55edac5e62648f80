package rls

import (
	"errors"
	"fmt"
	"strings"
)

// ErrOption is the error of [Verify] for a bad option.
var ErrOption = errors.New("bad option")

// VerifyOption is an option of [Verify].
type VerifyOption func(*verifyOptions)

type verifyOptions struct {
	tables    []Table
	column    string
	role      string
	allowed   []*allowance
	optionErr error

	probeTimeout string
}

type allowance struct {
	code, object, reason string
	used                 bool
}

func (o *verifyOptions) fail(format string, args ...any) {
	o.optionErr = errors.Join(o.optionErr, fmt.Errorf(format, args...))
}

// Tables declares the tables that belong to tenants. A missing table or column is an error,
// and Verify judges no other table. Only Name and Column of a [Table] count; an empty Column
// means the column of the option [Column].
//
// Default: every table with the tenant column, every table with a policy that reads the
// tenant or the user, every table with a column that the policy of another table compares
// with the tenant, and every table that refers to one of these by a foreign key.
func Tables(tables ...Table) VerifyOption {
	return func(o *verifyOptions) { o.tables = append(o.tables, tables...) }
}

// Column names the tenant column. Default: tenant_id.
func Column(name string) VerifyOption {
	return func(o *verifyOptions) { o.column = name }
}

// Role names the role that the connection takes together with the tenant. Default: the role
// of the connection.
func Role(name string) VerifyOption {
	return func(o *verifyOptions) { o.role = name }
}

// Allow keeps a finding from counting. The finding stays in the report, with the reason, and
// the reason is required. object is Finding.Object, or "*" for every object of the code.
// Verify reports an allowance that matches no finding.
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

// declaration is a Table of the option Tables. An empty schema means search_path.
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
