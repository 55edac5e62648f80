package oracle

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/agentagency/onepool/internal/sqllex"
	"github.com/agentagency/onepool/internal/testing/randsql"
	"github.com/agentagency/onepool/internal/testing/size"
)

// compare returns what PostgreSQL's parser and sqllex see differently in a text, and
// whether PostgreSQL takes the text. A effects may be stricter if it is not exact.
func compare(sql string, exact bool) (difference string, taken bool) {
	want, ok := read(sql)
	if !ok {
		return "", false
	}
	effects := sqllex.Classify(sql)
	var kinds []sqllex.Kind
	for _, s := range sqllex.Statements(sql) {
		kinds = append(kinds, s.Kind)
	}
	// No tree shows how a string or name was spelt, which these taints go by.
	unread := effects.Taint&(sqllex.Unreadable|sqllex.Ambiguous) != 0
	lower := strings.ToLower(sql)
	unread = unread || strings.Contains(lower, "set_config") || effects.Taint == sqllex.Temp && strings.Contains(lower, "pg_temp") // in search_path
	switch {
	case effects.Taint&sqllex.Unreadable != 0 && effects.EndsScope && !want.endsScope:
		return "PostgreSQL reads it to its end", true
	case !slices.Equal(kinds, want.kinds):
		return "the statements are others", true
	case effects.Statements != len(want.kinds):
		return "the number of statements is another", true
	case effects.EndsScope != want.endsScope:
		return "the scope", true
	case effects.SetsGuarded != want.guard && effects.Taint&sqllex.Unreadable == 0 && !strings.Contains(lower, "set_config"):
		return "SET of a guarded setting", true
	case effects.Plain() && want.notPlain != "":
		return "not plain: " + want.notPlain, true
	case exact && !effects.Plain() && !unread && want.notPlain == "":
		return "plain", true
	}
	return "", true
}

// TestPostgreSQLsParserReadsTheSame takes ONEPOOL_SEED's first text, if the variable is
// set, and one of the clock's else.
func TestPostgreSQLsParserReadsTheSame(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	if given := os.Getenv("ONEPOOL_SEED"); given != "" {
		var err error
		if seed, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	read("select 1") // compiles the parser, which takes seconds
	until := time.Now().Add(size.Of(2*time.Second, 5*time.Second, 20*time.Second))
	if d, err := time.ParseDuration(os.Getenv("ONEPOOL_ORACLE")); err == nil { // a longer search, by hand
		until = time.Now().Add(d)
	}
	var n, taken, plain int
	for ; time.Now().Before(until); n++ {
		at := seed + uint64(n)
		for i, sql := range []string{randsql.New(at).Next(), randsql.New(at).Soup()} {
			difference, ok := compare(sql, i == 0) // soup casts to a function's name
			if difference != "" {
				r, _ := read(sql)
				t.Fatalf("seed %d: %s\n%q\nPostgreSQL: %+v\nsqllex: %+v\n%+v", at, difference, sql, r, sqllex.Classify(sql), sqllex.Statements(sql))
			}
			if ok {
				taken++
				if sqllex.Classify(sql).Plain() {
					plain++
				}
			}
		}
	}
	t.Logf("%d texts, PostgreSQL takes %d, %d of these are plain", 2*n, taken, plain)
	if plain == 0 || taken == plain {
		t.Fatal("the search finds nothing that it looks for")
	}
}

func FuzzPostgreSQLsParser(f *testing.F) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 50 {
		f.Add(randsql.New(random.Uint64()).Next())
	}
	f.Fuzz(func(t *testing.T, sql string) {
		if len(sql) > 5000 || strings.IndexByte(sql, 0) >= 0 {
			return
		}
		if difference, _ := compare(sql, false); difference != "" {
			r, _ := read(sql)
			t.Fatalf("%s\n%q\nPostgreSQL: %+v\nsqllex: %+v\n%+v", difference, sql, r, sqllex.Classify(sql), sqllex.Statements(sql))
		}
	})
}
