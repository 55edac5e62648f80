package rls

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/agentagency/onepool/tenant"
)

// defaultProbeTimeout limits one probe on the server.
const defaultProbeTimeout = "2s"

// probeSettings are the settings of a probe: the tenant, and another setting if the name is
// not empty.
type probeSettings struct{ tenant, setting, value string }

// runProbe runs a query that returns numbers, with the settings. An error ends only the
// probe's own savepoint.
func (v *verifier) runProbe(ctx context.Context, tx pgx.Tx, with probeSettings, sql string) (found []int, err error) {
	sub, err := tx.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := sub.Rollback(context.WithoutCancel(ctx)); e != nil && err == nil {
			err = e
		}
	}()
	if err := set(ctx, sub, "select set_config($1, $2, true), set_config('statement_timeout', $3, true)", tenant.TenantSetting, with.tenant, v.opts.probeTimeout); err != nil {
		return nil, err
	}
	if with.setting != "" {
		if err := set(ctx, sub, "select set_config($1, $2, true)", with.setting, with.value); err != nil {
			return nil, err
		}
	}
	// The verifier runs the text once. A prepared statement would push the application's
	// statements out of the cache.
	rows, err := sub.Query(ctx, sql, pgx.QueryExecModeExec)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int])
}

// question is a query and the functions that its result calls.
type question struct {
	sql    string
	yes    func() // the query returns a row
	failed func(*pgconn.PgError)
}

// distinct joins the questions of equal texts: most policies of a database are alike.
func distinct(questions []question) (out []question) {
	at := make(map[string]int)
	for _, q := range questions {
		i, known := at[q.sql]
		if !known {
			at[q.sql] = len(out)
			out = append(out, q)
			continue
		}
		first := out[i]
		out[i].yes = func() { first.yes(); q.yes() }
		out[i].failed = func(e *pgconn.PgError) { first.failed(e); q.failed(e) }
	}
	return out
}

// askAll asks all questions in one statement, and each alone if the statement fails.
func (v *verifier) askAll(ctx context.Context, tx pgx.Tx, with probeSettings, questions []question) error {
	if len(questions) == 0 {
		return nil
	}
	parts := make([]string, len(questions))
	for i, q := range questions {
		parts[i] = fmt.Sprintf("select %d where exists (%s)", i, q.sql)
	}
	found, err := v.runProbe(ctx, tx, with, strings.Join(parts, "\nunion all\n"))
	var refused *pgconn.PgError
	switch {
	case err == nil:
		for _, i := range found {
			questions[i].yes()
		}
		return nil
	case !errors.As(err, &refused) || tx.Conn() == nil || tx.Conn().IsClosed():
		return err
	case len(questions) == 1:
		questions[0].failed(refused)
		return nil
	}
	for i := range questions {
		if err := v.askAll(ctx, tx, with, questions[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

const (
	noTenant    = ""
	cancelled   = "57014"
	noPrivilege = "42501"
)

// probeRows reads every table without a tenant, and as a tenant that does not exist.
func (v *verifier) probeRows(ctx context.Context, tx pgx.Tx) error {
	unknown := newProbeTenant()
	for _, kind := range []string{Text, UUID, BigInt} {
		for _, tenant := range []string{noTenant, unknown.of(kind)} {
			if err := v.askAll(ctx, tx, probeSettings{tenant: tenant}, v.rowQuestions(kind, tenant)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *verifier) rowQuestions(kind, tenant string) (out []question) {
	for _, t := range v.scoped {
		if t.kind() != kind || !t.Secured || !t.Reads || t.Kind == "f" || t.MayOwn && !t.Forced || v.found(t.object(), "probe-timeout") {
			continue
		}
		out = append(out, question{
			sql: "select from " + t.sql(),
			yes: func() {
				if tenant == noTenant {
					v.add("rows-without-tenant", t.object(), t.startOver(), "A statement without a tenant sees rows.")
				} else {
					v.add("rows-of-others", t.object(), t.startOver(), "A tenant that does not exist sees rows.")
				}
			},
			failed: func(e *pgconn.PgError) {
				switch {
				case v.found(t.object(), "probe-timeout", "probe-failed"):
				case e.Code == cancelled:
					v.add("probe-timeout", t.object(), "-- see all findings on the table, index-missing above all",
						"A read of the table without a tenant took longer than %s, so the verifier does not know whether rows are visible.", v.opts.probeTimeout)
				case e.Code != noPrivilege && tenant == noTenant:
					v.add("probe-failed", t.object(), t.startOver(), "A read of the table without a tenant fails (SQLSTATE %s) instead of returning no row.", e.Code)
				}
			},
		})
	}
	return out
}

// tryCommit looks whether a tenant outlives the transaction that set the tenant.
func (v *verifier) tryCommit(ctx context.Context, db Querier) error {
	if _, inside := db.(pgx.Tx); inside || v.found(tenant.TenantSetting, "setting-left-over") || len(v.session.Presets) > 0 {
		return nil
	}
	tx, err := db.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // a no-op after Commit
	if err := set(ctx, tx, "select set_config($1, $2, true)", tenant.TenantSetting, newProbeTenant().uuid); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	var after string
	if err := db.QueryRow(ctx, "select coalesce(current_setting($1, true), '')", tenant.TenantSetting).Scan(&after); err != nil {
		return err
	}
	if after != "" {
		v.add("setting-survives", tenant.TenantSetting, "-- find the code that sets the tenant on the session, and set the tenant for a transaction only",
			"A tenant was still set after the transaction that had set the tenant: the next user of the connection works as that tenant.")
	}
	return nil
}
