package fxdb

import (
	"reflect"
	"slices"
	"strings"
)

// settingNames are the variables that ConfigFromEnv reads.
func settingNames() (names []string) {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[environ]()) {
		names = append(names, f.Tag.Get("env"))
	}
	return names
}

// misspelling is a variable that is no setting, and the setting that may be meant.
type misspelling struct{ variable, setting string }

// misspelt returns the variables with the pool's prefix whose names are close to a
// setting's name but name no setting. No setting has a digit in the name: a variable with a
// digit belongs to another program.
func misspelt(prefix string, environ []string) (found []misspelling) {
	known := settingNames()
	for _, kv := range environ {
		variable, _, _ := strings.Cut(kv, "=")
		name, has := strings.CutPrefix(variable, prefix)
		if !has {
			continue
		}
		upper := strings.ToUpper(name)
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

// apart is the number of letters to insert, leave out, replace or exchange with their
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
