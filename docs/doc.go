// Package docs holds the pages of the documentation. Its tests compile each Go block of
// the pages and of the README, follow each link, and compare the lists of codes, errors,
// tables and methods with the code.
package docs

//go:generate go run ./settings -write settings.md
