package sqllex

import "strings"

// keywords are the words without quotes on which a classification depends, without verbs.
const keywords = `
	abort all as asensitive atomic authorization begin binary breadth by commit concurrently constraints cursor cycle
	database default delete depth detach drop end execute first for from function global hold insensitive insert into
	local materialized merge no not null on only or prepared procedure program recursive release replace role rollback
	rule savepoint schema scroll search select session set start stdin stdout subscription system table tablespace temp
	temporary to transaction true false update using values verbose with without work`

// knownNames are all words and names on which a classification depends, in lower case. All unknown
// names are alike.
var knownNames = func() map[string]string {
	names := make(map[string]string)
	for _, name := range strings.Fields(keywords) {
		names[name] = name
	}
	for name := range verbs {
		names[name] = name
	}
	for name := range guardedSettings {
		names[name] = name
	}
	for name := range tainting {
		names[name] = name
	}
	for _, name := range []string{tempSchema, settingsView, "seed", "set_config", "ts_rewrite"} {
		names[name] = name
	}
	return names
}()

// knownLengths are the lengths of knownNames by first and last letter, as bits: knownLengths
// alone rejects most unknown words.
var knownLengths = func() (lengths [26][32]uint64) {
	for name := range knownNames {
		lengths[name[0]-'a'][name[len(name)-1]%32] |= 1 << len(name)
	}
	return lengths
}()

const (
	tempSchema   = "pg_temp" // stands for pg_temp_3 and pg_toast_temp_3 too
	settingsView = "pg_settings"
)

// knownName returns name as knownNames has the name, or nothing. With fold, upper-case letters
// mean lower-case letters.
func knownName(name string, fold bool) string {
	if len(name) >= 64 || name == "" {
		return "" // the server cuts a longer name to 63 bytes, and every known name is shorter
	}
	first := name[0]
	if fold {
		first |= 0x20
	}
	if first -= 'a'; first >= 26 {
		return ""
	}
	mayBeTemp := first == 'p'-'a' && len(name) > len(tempSchema) && name[2] == '_'
	if knownLengths[first][name[len(name)-1]%32]&(1<<len(name)) == 0 && !mayBeTemp {
		return ""
	}
	var lower [64]byte
	for i := range len(name) {
		c := name[i]
		if fold && 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	folded := lower[:len(name)]
	if mayBeTemp && isTempSchema(folded) {
		return tempSchema
	}
	return knownNames[string(folded)]
}

// isTempSchema reports whether name is the name of a session's temporary schema.
func isTempSchema(name []byte) bool {
	hasPrefix := func(prefix string) bool { return len(name) >= len(prefix) && string(name[:len(prefix)]) == prefix }
	return hasPrefix("pg_temp_") || hasPrefix("pg_toast_temp")
}
