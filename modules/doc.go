// Package modules holds what the agency's database clients share: the classes
// of their errors. Each client is a package below it and an fx module of its
// own, usable alone or with the others.
package modules
