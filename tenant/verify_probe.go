package tenant

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// defaultProbeTimeout limits one probe on the server.
const defaultProbeTimeout = "2s"

// probe is a tenant to ask as, that nobody is. A UUID does for text, too; numbers
// are negative, and small enough for a smallint.
type probe struct {
	uuid   string
	number int
}

func newProbe() probe {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return probe{
		uuid:   fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]),
		number: -1 - int(binary.BigEndian.Uint16(b[:]))%30000,
	}
}

func (p probe) of(kind string) string {
	if kind == BigInt {
		return strconv.Itoa(p.number)
	}
	return p.uuid
}

// others are tenants beside p, as values for the table's column: one that has
// nothing in common with it; of texts those that a comparison of parts takes for
// it; and none at all where the column allows that.
func (p probe) others(t *table) []string {
	var values []string
	switch kind := t.kind(); kind {
	case BigInt:
		values = []string{strconv.Itoa(p.number - 1)}
	case UUID:
		values = []string{newProbe().uuid}
	default:
		values = []string{newProbe().uuid, p.uuid + "0", "0" + p.uuid, p.uuid[1:], p.uuid[:35]}
	}
	for i, v := range values {
		values[i] = literal(v)
	}
	if !t.NotNull {
		values = append(values, "null")
	}
	return values
}

// ask runs a query that returns the numbers of what it found, with the tenant
// set, and leaves no trace of it: an error ends only its own savepoint.
func (v *verifier) ask(ctx context.Context, tx pgx.Tx, tenant, sql string) (found []int, err error) {
	sub, err := tx.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := sub.Rollback(context.WithoutCancel(ctx)); e != nil && err == nil {
			err = e
		}
	}()
	if _, err := sub.Exec(ctx, "select set_config($1, $2, true), set_config('statement_timeout', $3, true)", TenantSetting, tenant, v.opts.probeTimeout); err != nil {
		return nil, err
	}
	// The text is never asked again: it must not push others out of the cache of
	// prepared statements.
	rows, err := sub.Query(ctx, sql, pgx.QueryExecModeExec)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int])
}

// question is one of several that are asked in one statement.
type question struct {
	sql    string // what exists when the answer is yes
	yes    func()
	failed func(*pgconn.PgError)
}

// askAll asks all at once, and one by one only when one of them fails.
func (v *verifier) askAll(ctx context.Context, tx pgx.Tx, tenant string, questions []question) error {
	if len(questions) == 0 {
		return nil
	}
	parts := make([]string, len(questions))
	for i, q := range questions {
		parts[i] = fmt.Sprintf("select %d where exists (%s)", i, q.sql)
	}
	found, err := v.ask(ctx, tx, tenant, strings.Join(parts, "\nunion all\n"))
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
		if err := v.askAll(ctx, tx, tenant, questions[i:i+1]); err != nil {
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

// probeRows reads every table as nobody, and as a tenant that does not exist.
func (v *verifier) probeRows(ctx context.Context, tx pgx.Tx) error {
	stranger := newProbe()
	for _, kind := range []string{Text, UUID, BigInt} {
		for _, as := range []string{noTenant, stranger.of(kind)} {
			if err := v.askAll(ctx, tx, as, v.rowQuestions(kind, as)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *verifier) rowQuestions(kind, as string) (out []question) {
	for _, t := range v.scoped {
		if t.kind() != kind || !t.Secured || !t.Reads || t.Kind == "f" || t.MayOwn && !t.Forced || v.found(t.object(), "probe-timeout") {
			continue
		}
		out = append(out, question{
			sql: "select from " + t.sql(),
			yes: func() {
				if as == noTenant {
					v.add("rows-without-tenant", t.object(), t.startOver(), "A statement without a tenant sees rows.")
				} else {
					v.add("rows-of-others", t.object(), t.startOver(), "A tenant that does not exist sees rows.")
				}
			},
			failed: func(e *pgconn.PgError) {
				switch {
				case v.found(t.object(), "probe-timeout", "probe-failed"):
				case e.Code == cancelled:
					v.add("probe-timeout", t.object(), "-- see the other findings on the table, index-missing above all",
						"Reading it with no tenant took longer than %s, so that it is not known whether rows are visible.", v.opts.probeTimeout)
				case e.Code != noPrivilege && as == noTenant:
					v.add("probe-failed", t.object(), t.startOver(), "Reading it with no tenant fails (SQLSTATE %s) and does not just find nothing.", e.Code)
				}
			},
		})
	}
	return out
}

// probePolicies asks every policy about a row of another tenant. The row is made
// up, so that an empty table tells as much as a full one.
func (v *verifier) probePolicies(ctx context.Context, tx pgx.Tx) error {
	me := newProbe()
	columns := make(map[uint32][]columnInfo)
	for _, c := range v.columns {
		columns[c.Table] = append(columns[c.Table], c)
	}
	for _, kind := range []string{Text, UUID, BigInt} {
		for _, as := range []string{noTenant, me.of(kind)} {
			var questions []question
			for _, p := range v.policies {
				if !v.worthAsking(p, kind) {
					continue
				}
				rows := madeUpRows(p.table, columns[p.table.OID], me.others(p.table))
				for _, passes := range p.conditions() {
					questions = append(questions, question{
						sql:    fmt.Sprintf("select from %s where %s", rows, passes),
						yes:    func() { v.opens(p, as) },
						failed: func(*pgconn.PgError) {}, // what can't be asked lets nothing through
					})
				}
			}
			if err := v.askAll(ctx, tx, as, questions); err != nil {
				return err
			}
		}
	}
	return nil
}

// conditions are what lets rows through the policy: to be seen, and to be written.
func (p *rule) conditions() (out []string) {
	seen, written := p.Using, p.Check
	for _, f := range p.fences() {
		check, _ := f.checked()
		seen, written = and(seen, f.Using), and(written, check)
	}
	for _, condition := range []string{seen, written} {
		if condition != "" {
			out = append(out, condition)
		}
	}
	return out
}

// and joins two conditions where there is a first.
func and(a, b string) string {
	if a == "" || b == "" {
		return a
	}
	return "(" + a + ") and (" + b + ")"
}

func (v *verifier) worthAsking(p *rule, kind string) bool {
	return p.Permissive && p.MayApply && p.table.scoped && p.table.AttNum != 0 && p.table.kind() == kind &&
		!v.found(p.table.object(), "probe-timeout") &&
		!v.found(p.object(), "policy-true", "policy-ignores-tenant", "policy-other-setting", "with-check-weak")
}

func (v *verifier) opens(p *rule, as string) {
	switch {
	case v.found(p.object(), "policy-open-without-tenant", "policy-open-to-others"):
	case as == noTenant:
		v.add("policy-open-without-tenant", p.object(), p.fix(), "Where no tenant is set it lets %s rows through.", p.commandName())
	default:
		v.add("policy-open-to-others", p.object(), p.fix(), "It lets %s rows through that are not the tenant's.", p.commandName())
	}
}

// madeUpRows are three rows of the table for each of the tenants: with NULL in
// the other columns, and with true and false where they are boolean.
func madeUpRows(t *table, columns []columnInfo, tenants []string) string {
	list := make([]string, len(columns))
	for i, c := range columns {
		switch {
		case c.Name == t.Column:
			list[i] = "made_up.tenant::" + t.kind()
		case c.Type == "boolean":
			list[i] = "made_up.flag"
		default:
			list[i] = "null::" + c.Type
		}
		list[i] += " as " + quote(c.Name)
	}
	return fmt.Sprintf("(select %s from (select flag, tenant from (values (null::boolean), (true), (false)) f (flag), unnest(array[%s]) tenant) made_up) as %s",
		strings.Join(list, ", "), strings.Join(tenants, ", "), quote(t.Name))
}

// tryCommit sees whether a tenant outlives the transaction that set it.
func (v *verifier) tryCommit(ctx context.Context, db Querier) error {
	if _, inside := db.(pgx.Tx); inside || v.found(TenantSetting, "setting-left-over") || len(v.session.Presets) > 0 {
		return nil
	}
	tx, err := db.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // after Commit it does nothing
	if _, err := tx.Exec(ctx, "select set_config($1, $2, true)", TenantSetting, newProbe().uuid); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	var after string
	if err := db.QueryRow(ctx, "select coalesce(current_setting($1, true), '')", TenantSetting).Scan(&after); err != nil {
		return err
	}
	if after != "" {
		v.add("setting-survives", TenantSetting, "-- find what sets it on the session, and set it for a transaction only",
			"A tenant was still set after the transaction that had set it: the next user of the connection works as that tenant.")
	}
	return nil
}
