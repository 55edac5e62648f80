package testkit

import (
	"context"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
)

// ownerPool is the owner's pool of a database, and how many tests use the pool.
type ownerPool struct {
	*pgxpool.Pool
	users int
}

var (
	ownersMu sync.Mutex
	owners   = make(map[string]*ownerPool) // by database
)

// OwnerPool returns a pool on the database of db, connected as the database's owner: for
// fixtures, DDL and reads of the catalog. DB, Pool or Swap must have made db. Forced
// row-level security binds the owner too. All calls for the same database return the same pool.
// Do not close the pool: testkit closes the pool after the last test that called OwnerPool.
func OwnerPool(t testing.TB, db *fxdb.DB) *pgxpool.Pool {
	t.Helper()
	d, ok := databaseOf(db)
	if !ok {
		t.Fatalf("testkit: OwnerPool: the *fxdb.DB is not of testkit: use testkit.DB or testkit.Swap")
	}
	ownersMu.Lock()
	defer ownersMu.Unlock()
	owner := owners[d.name]
	if owner == nil {
		pool, err := openOwner(d)
		if err != nil {
			t.Fatalf("testkit: OwnerPool: %v", err)
		}
		owner = &ownerPool{Pool: pool}
		owners[d.name] = owner
	}
	owner.users++
	t.Cleanup(func() {
		ownersMu.Lock()
		owner.users--
		unused := owner.users == 0
		if unused {
			delete(owners, d.name)
		}
		ownersMu.Unlock()
		if unused {
			owner.Close() // waits for connections that the test still holds
		}
	})
	return owner.Pool
}

func openOwner(d database) (*pgxpool.Pool, error) {
	pc, err := pgxpool.ParseConfig(d.server.url(devdb.RoleOwner, d.name))
	if err != nil {
		return nil, err
	}
	pc.MaxConns = 4
	pc.ConnConfig.RuntimeParams["application_name"] = "testkit owner"
	return pgxpool.NewWithConfig(context.Background(), pc)
}
