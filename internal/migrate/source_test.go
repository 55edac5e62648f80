package migrate_test

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/internal/migrate"
	"github.com/agentagency/onepool/internal/testing/size"
)

// declared is a list of sources such as "b after a, a".
func declared(list string) (sources []migrate.Source) {
	for _, s := range strings.Split(list, ", ") {
		name, after, _ := strings.Cut(s, " after ")
		sources = append(sources, migrate.Source{Name: name, FS: one("select 1;\n"), After: strings.Fields(after)})
	}
	return sources
}

func TestSourcesComeAfterThoseThatTheyDeclare(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]string{
		"c, a, b":                            "a b c",
		"a after c, b, c":                    "b c a",
		"a after b, b after c, c":            "c b a",
		"b after a, a":                       "a b",
		"a after b c, b, c after d, d, e":    "b d c a e",
		"a after b b, b":                     "b a",
		"z, users after tenants, m, tenants": "m tenants users z",
		"m after z, n after z, z after a, a": "a z m n",
	} {
		sources, err := migrate.Check(declared(list))
		require.NoError(t, err, list)
		var got []string
		for _, s := range sources {
			got = append(got, s.Name)
		}
		require.Equal(t, want, strings.Join(got, " "), list)
	}
}

func TestAnOrderThatCannotBeNamesItself(t *testing.T) {
	t.Parallel()
	for list, want := range map[string][]string{
		"a after users, b": {`migrations "a"`, `"a" comes after "users"`, `no source is named "users": the sources are a, b`},
		"a after a":        {`migrations "a"`, "a comes after a"},
		"a after b, b after c, c after a, d after a": {"a comes after b comes after c comes after a"},
		"a, x after c, c after b, b after c, y":      {"b comes after c comes after b"},
	} {
		_, err := migrate.Check(declared(list))
		require.Error(t, err, list)
		for _, part := range want {
			require.ErrorContains(t, err, part, list)
		}
	}
}

// A migration that needs another source's tables fails with an error that names the order.
func TestTheErrorNamesTheOrder(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	cc := database(t)
	sources := func(after ...string) []migrate.Source {
		sorted, err := migrate.Check([]migrate.Source{
			{Name: "users", FS: one("create table users (id int primary key);\n")},
			{Name: "orders", FS: one("create table orders (of int references users);\n"), After: after},
		})
		require.NoError(t, err)
		return sorted
	}
	err := migrate.Up(t.Context(), cc, zap.NewNop(), sources())
	require.ErrorContains(t, err, `migrations "orders": 00001_a.sql`)
	require.ErrorContains(t, err, "the order of the sources is orders, users")
	require.ErrorContains(t, err, "fxdb.After")
	require.NoError(t, migrate.Up(t.Context(), cc, zap.NewNop(), sources("users")))
	require.NoError(t, migrate.Down(t.Context(), cc, sources("users")))
}

func TestFilesThatWouldNeverBeAppliedAreRefused(t *testing.T) {
	t.Parallel()
	const good = "00001_good.sql"
	for name, c := range map[string]struct {
		files []string
		wants []string // in the error; none: no error
	}{
		"as goose wants them":          {[]string{good, "2_b.sql", "20260101120000_c.sql"}, nil},
		"no number":                    {[]string{good, "schema.sql", "V3__flyway.sql"}, []string{"schema.sql", "V3__flyway.sql", "never be applied"}},
		"a dash":                       {[]string{good, "00002-b.sql"}, []string{"00002-b.sql"}},
		"version 0":                    {[]string{good, "00000_b.sql"}, []string{"00000_b.sql"}},
		"upper case":                   {[]string{good, "00002_b.SQL"}, []string{"00002_b.SQL"}},
		"one folder down":              {[]string{"m/" + good, "m/b.sql"}, []string{"b.sql"}},
		"two folders":                  {[]string{"a/" + good, "b/00002_b.sql"}, []string{"several folders (a, b)"}},
		"a folder below":               {[]string{good, "more/00002_b.sql"}, []string{"more/00002_b.sql", "never be applied"}},
		"two folders below":            {[]string{"m/" + good, "m/more/00002_b.sql"}, []string{"more/00002_b.sql"}},
		"a hidden folder below":        {[]string{good, ".git/00002_b.sql"}, nil},
		"other files":                  {[]string{good, "README.md", "00002_b.sql.bak", ".#00003_c.sql", "._00001_good.sql", "notes"}, nil},
		"a folder beside with no SQL":  {[]string{"a/" + good, "b/README.md"}, nil},
		"a folder named like one file": {[]string{good, "old.sql/README.md"}, nil},
	} {
		fsys := fstest.MapFS{}
		for _, f := range c.files {
			fsys[f] = &fstest.MapFile{Data: []byte("-- +goose Up\nselect 1;\n")}
		}
		_, err := migrate.Check([]migrate.Source{{Name: "shop", FS: fs.FS(fsys)}})
		if len(c.wants) == 0 {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorContains(t, err, `migrations "shop"`, name)
		for _, want := range c.wants {
			require.ErrorContains(t, err, want, name)
		}
	}
}

// Two releases of an application may know another order; each source is applied once.
func TestReplicasOfDifferentOrderMigrateOnce(t *testing.T) {
	t.Parallel()
	cc, o := account(t)
	sources := []migrate.Source{
		{Name: "a", FS: one(passGate + hundredfold)},
		{Name: "b", FS: one(passGate + hundredfold)},
	}
	errs := make(chan error, 2)
	go func() { errs <- migrate.Up(t.Context(), cc, zap.NewNop(), sources) }()
	o.waitAtGate(1, nil)
	core, logs := newObserver()
	go func() {
		errs <- migrate.Up(t.Context(), cc, zap.New(core), []migrate.Source{sources[1], sources[0]})
	}()
	o.waitAtGate(2, logged(logs, "another process migrates"))
	require.Equal(t, 1, value[int](o, "select "+atGate))
	o.openGate()
	require.NoError(t, <-errs)
	require.NoError(t, <-errs)
	require.Equal(t, 1000000, value[int](o, "select cents from acct"))
}
