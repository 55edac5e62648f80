package testkit

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/tenant"
)

// RequireIsolatedReads runs the block, records the reads that the block sends as a tenant, and
// replays each read as a stranger: as another tenant, and as a session without a tenant.
// RequireIsolatedReads compares the stranger's result before and after a deletion of the
// tenant's rows. If the results differ, the test fails with the text and the call site of the
// read. A count or a sum is a leak too, and equal rows of a table of all tenants are no leak.
//
// [RequireIsolation] tries each table. RequireIsolatedReads finds leaks above the tables: a
// view or a function with the owner's rights, a join with a table without a policy, a
// materialized view. Run the program's own methods in the block, for two tenants at least:
// the block fills the tables, or the test filled the tables before.
//
// The tenant's rows are the rows with the tenant in a column tenant_id, and the rows that
// refer to the tenant's rows by a foreign key. Name in shared, with the schema, a table whose
// policy grants rows to other tenants: RequireIsolatedReads leaves the table alone. A read
// whose result changes by itself proves nothing, and the test logs the text. The replay runs
// on a connection of the administrator's as the restricted role, in a transaction that
// RequireIsolatedReads rolls back.
//
// DB, Pool, Swap or Faulty must have made db.
func RequireIsolatedReads(t testing.TB, db *fxdb.DB, block func(), shared ...string) {
	t.Helper()
	r, stop := record(t, "RequireIsolatedReads", db)
	func() {
		defer stop() // if the block panics or ends the test
		block()
	}()
	all, _ := r.statements()
	reads := readsByTenant(all)
	if len(reads) == 0 {
		t.Errorf("testkit: RequireIsolatedReads: the block sent no read as a tenant")
		return
	}
	d, _ := databaseOf(db)
	admin, err := connectPatiently(t.Context(), d.server.admin.to(d.name))
	if err != nil {
		t.Fatalf("testkit: RequireIsolatedReads: %v", err)
	}
	defer admin.Close(context.WithoutCancel(t.Context()))
	s := stage{t: t, admin: admin, shared: shared, reported: make(map[string]bool)}
	if err := s.prepare(t.Context()); err != nil {
		t.Fatalf("testkit: RequireIsolatedReads: %v", err)
	}
	for _, own := range slices.Sorted(maps.Keys(reads)) {
		if err := s.replay(t.Context(), own, reads[own]); err != nil {
			t.Fatalf("testkit: RequireIsolatedReads: replay the reads of tenant %q: %v", own, err)
		}
	}
}

// readsByTenant returns each read once for each tenant and each set of arguments.
func readsByTenant(all []sent) map[string][]sent {
	reads := make(map[string][]sent)
	seen := make(map[string]bool)
	for _, s := range all {
		if !isRead(s.sql) {
			continue
		}
		key := fmt.Sprintf("%q %q %v", s.as.Tenant, s.sql, s.args)
		if s.as.Tenant != "" && !seen[key] {
			seen[key] = true
			reads[s.as.Tenant] = append(reads[s.as.Tenant], s)
		}
	}
	return reads
}

// writes finds a statement that writes inside or after a WITH.
var writes = regexp.MustCompile(`(?i)[()]\s*(insert|update|delete|merge)\b`)

func isRead(sql string) bool {
	switch firstWord(sql) {
	case "select", "table", "values":
		return true
	case "with":
		return !writes.MatchString(sql)
	}
	return false
}

// stage is the database of the replay.
type stage struct {
	t        testing.TB
	admin    *pgx.Conn
	shared   []string
	tables   []isolatedTable
	tenants  []string // the tenants with rows
	reported map[string]bool
}

func (s *stage) prepare(ctx context.Context) (err error) {
	if s.tables, err = tenantTables(ctx, s.admin); err != nil {
		return err
	}
	for _, table := range s.tables {
		for who := range table.rows {
			if who != "" && !slices.Contains(s.tenants, who) {
				s.tenants = append(s.tenants, who)
			}
		}
	}
	slices.Sort(s.tenants)
	if len(s.tenants) < 2 {
		s.t.Errorf("testkit: RequireIsolatedReads: the tables have rows of %d tenants: a proof needs rows of two", len(s.tenants))
	}
	return nil
}

// strangers are the sessions that must not see the tenant's rows.
func (s *stage) strangers(own sent) []tenant.Identity {
	strangers := []tenant.Identity{{}}
	if i := slices.IndexFunc(s.tenants, func(who string) bool { return who != own.as.Tenant }); i >= 0 {
		strangers = append(strangers, tenant.Identity{Tenant: s.tenants[i], User: own.as.User, Session: own.as.Session})
	}
	return strangers
}

// look is a stranger's read, and the results.
type look struct {
	sent
	stranger      tenant.Identity
	before, again string
}

// replay compares the strangers' results with and without the tenant's rows.
func (s *stage) replay(ctx context.Context, own string, reads []sent) error {
	tx, err := s.admin.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if err := refreshViews(ctx, tx); err != nil {
		return err
	}
	var looks []look
	for _, read := range reads {
		for _, stranger := range s.strangers(read) {
			looks = append(looks, look{sent: read, stranger: stranger})
		}
	}
	for i := range looks {
		l := &looks[i]
		if l.before, err = readAs(ctx, tx, l.stranger, l.sql, l.args); err == nil {
			l.again, err = readAs(ctx, tx, l.stranger, l.sql, l.args)
		}
		if err != nil {
			return err
		}
	}
	if err := s.remove(ctx, tx, own); err != nil {
		return err
	}
	if err := refreshViews(ctx, tx); err != nil {
		return err
	}
	for _, l := range looks {
		after, err := readAs(ctx, tx, l.stranger, l.sql, l.args)
		if err != nil {
			return err
		}
		s.judge(own, l, after)
	}
	return nil
}

func (s *stage) judge(own string, l look, after string) {
	s.t.Helper()
	key := l.sql + l.caller + l.stranger.Tenant
	switch {
	case l.before != l.again:
		if !s.reported[l.sql] {
			s.reported[l.sql] = true
			s.t.Logf("testkit: RequireIsolatedReads: the result changes without a change of the tables, so the read proves nothing: %s\n        at %s", oneLine(l.sql), l.caller)
		}
	case l.before != after && !s.reported[key]:
		s.reported[key] = true
		s.t.Errorf("testkit: RequireIsolatedReads: the read of %s depends on rows of tenant %q: %s\n        at %s",
			whose(l.stranger.Tenant), own, oneLine(l.sql), l.caller)
	}
}
