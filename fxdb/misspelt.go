package fxdb

import (
	"reflect"
	"slices"
	"strings"
)

// settingNames returns the variables that ConfigFromEnv reads.
func settingNames() (names []string) {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[environ]()) {
		names = append(names, f.Tag.Get("env"))
	}
	return names
}

// misspelling is a variable that is no setting, and the setting that may be meant.
type misspelling struct{ variable, setting string }

// foreignNames are the names of other libraries and platforms for a setting. A name of a
// connection string counts only if no setting names a database: several programs may share
// an environment.
var foreignNames = map[string]string{
	"DB_URL": "DATABASE_URL", "DB_URI": "DATABASE_URL", "DB_DSN": "DATABASE_URL", "DATABASE_DSN": "DATABASE_URL",
	"POSTGRES_URL": "DATABASE_URL", "POSTGRES_URI": "DATABASE_URL", "POSTGRES_DSN": "DATABASE_URL", "POSTGRESQL_URL": "DATABASE_URL",
	"PG_URL": "DATABASE_URL", "PG_DSN": "DATABASE_URL", "PGURL": "DATABASE_URL",
	"DB_MAX_CONNS": "DB_POOL_MAX", "DB_MAX_CONNECTIONS": "DB_POOL_MAX", "DB_MAX_OPEN_CONNS": "DB_POOL_MAX",
	"DB_POOL_MAX_CONNS": "DB_POOL_MAX", "DB_POOL_SIZE": "DB_POOL_MAX", "POOL_MAX": "DB_POOL_MAX",
	"DB_MIN_CONNS": "DB_POOL_MIN", "DB_MAX_IDLE_CONNS": "DB_POOL_MIN", "DB_POOL_MIN_CONNS": "DB_POOL_MIN", "POOL_MIN": "DB_POOL_MIN",
}

// misspelt returns the variables with the pool's prefix whose names are close to a
// setting's name but name no setting, and the foreignNames. No setting has a digit in the
// name: a variable with a digit belongs to another program.
func misspelt(prefix string, environ []string) (found []misspelling) {
	known := settingNames()
	named := slices.ContainsFunc(environ, func(kv string) bool {
		return slices.ContainsFunc([]string{"DATABASE_URL=", "DB_HOST=", "DB_NAME="}, func(set string) bool {
			return strings.HasPrefix(kv, prefix+set) && len(kv) > len(prefix+set)
		})
	})
	for _, kv := range environ {
		variable, _, _ := strings.Cut(kv, "=")
		name, has := strings.CutPrefix(variable, prefix)
		if !has {
			continue
		}
		upper := strings.ToUpper(name)
		if meant := foreignNames[upper]; meant != "" {
			if meant != "DATABASE_URL" || !named {
				found = append(found, misspelling{variable, prefix + meant})
			}
			continue
		}
		mayBe := strings.HasPrefix(upper, "DB_") || strings.HasPrefix(upper, "DATA")
		if !mayBe || slices.Contains(known, name) || strings.ContainsAny(name, "0123456789") {
			continue
		}
		meant, best := "", tooFar
		for _, k := range known {
			if d := apart(upper, k); d < best {
				meant, best = k, d
			}
		}
		if meant != "" {
			found = append(found, misspelling{variable, prefix + meant})
		}
	}
	slices.SortFunc(found, func(a, b misspelling) int { return strings.Compare(a.variable, b.variable) })
	return found
}

// tooFar is the least distance of two names that are not nearly the same.
const tooFar = 3

// apart returns the number of letters to insert, leave out, replace or exchange with their
// neighbour to turn a into b. A name that goes on, or ends early, by up to four letters
// counts as two. In a short name two letters make another word.
func apart(a, b string) int {
	longer, shorter := a, b
	if len(a) < len(b) {
		longer, shorter = b, a
	}
	rest, isPrefix := strings.CutPrefix(longer, shorter)
	switch {
	case len(longer)-len(shorter) > 4:
		return tooFar
	case isPrefix:
		return min(len(rest), tooFar-1)
	}
	// The rows of the table of distances between beginnings: the two before, and the next.
	var before, last []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := last[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			row[j] = min(last[j]+1, row[j-1]+1, replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	if d := row[len(b)]; d < tooFar-1 || d < tooFar && len(shorter) > len("DB_NAME")+1 {
		return d
	}
	return tooFar
}
