// Package agencytest gives the test of a program that uses the agency's clients
// (github.com/agentagency/onepool/modules) the clients themselves, on a database of the test's own:
// a fake with the clients' own SQL, constraints and policies. A program declares an interface of
// the methods that the program calls, and the test passes a client of [New] for the interface.
// [Faulty] makes the calls fail.
package agencytest

import (
	"testing"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/modules/agentregistry"
	"github.com/agentagency/onepool/modules/knowledge"
	"github.com/agentagency/onepool/modules/orchestrator"
	"github.com/agentagency/onepool/modules/verification"
	"github.com/agentagency/onepool/modules/webnavigator"
	"github.com/agentagency/onepool/testkit"
)

// Tenant is the tenant of a call whose context names no tenant.
const Tenant = "test"

// Clients are the agency's clients on one database.
type Clients struct {
	Agents       *agentregistry.Client
	Knowledge    *knowledge.Client
	Web          *webnavigator.Client
	Verification *verification.Client
	Tasks        *orchestrator.Client
	// DB is the pool of the clients: for testkit's functions, such as testkit.RequireCount.
	DB *fxdb.DB
}

// New returns clients on an empty, migrated database of this test's own. The options are
// testkit's. A call whose context names no tenant is of [Tenant].
func New(t testing.TB, opts ...testkit.Option) Clients {
	t.Helper()
	return on(t, testkit.DB(t, append(migrations(), opts...)...))
}

// Faulty is [New] behind a network that the test cuts, freezes or refuses:
//
//	clients, network := agencytest.Faulty(t)
//	network.Refuse() // each call fails with modules.ErrUnavailable
func Faulty(t testing.TB, opts ...testkit.Option) (Clients, *testkit.Network) {
	t.Helper()
	db, network := testkit.Faulty(t, append(migrations(), opts...)...)
	return on(t, db), network
}

func migrations() []testkit.Option {
	return []testkit.Option{
		testkit.Migrations("agentregistry", agentregistry.Migrations()), testkit.Migrations("knowledge", knowledge.Migrations()),
		testkit.Migrations("webnavigator", webnavigator.Migrations()), testkit.Migrations("verification", verification.Migrations()),
		testkit.Migrations("orchestrator", orchestrator.Migrations()),
	}
}

func on(t testing.TB, db *fxdb.DB) Clients {
	t.Helper()
	named := func(name string) *fxdb.DB { return db.Named(name, fxdb.RequireTenant()) }
	return Clients{
		Agents:       client(t, agentregistry.New, agentregistry.Params{DB: named("agentregistry"), Config: agentregistry.Config{DefaultTenant: Tenant}}),
		Knowledge:    client(t, knowledge.New, knowledge.Params{DB: named("knowledge"), Config: knowledge.Config{DefaultTenant: Tenant}}),
		Web:          client(t, webnavigator.New, webnavigator.Params{DB: named("webnavigator"), Config: webnavigator.Config{DefaultTenant: Tenant}}),
		Verification: client(t, verification.New, verification.Params{DB: named("verification"), Config: verification.Config{DefaultTenant: Tenant}}),
		Tasks:        client(t, orchestrator.New, orchestrator.Params{DB: named("orchestrator"), Config: orchestrator.Config{DefaultTenant: Tenant}}),
		DB:           db,
	}
}

func client[P, C any](t testing.TB, construct func(P) (*C, error), params P) *C {
	t.Helper()
	c, err := construct(params)
	if err != nil {
		t.Fatalf("agencytest: %v", err)
	}
	return c
}
