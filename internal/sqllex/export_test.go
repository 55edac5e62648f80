package sqllex

// Tainting are the names of functions that taint.
func Tainting() (names []string) {
	for name := range tainting {
		names = append(names, name)
	}
	return append(names, "set_config", "ts_rewrite")
}
