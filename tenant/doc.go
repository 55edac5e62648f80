// Package tenant says who is asking. An Identity travels in a context; package
// fxdb turns it into settings of the server's transaction, and row-level
// security policies on the server read them.
//
// The package knows neither pools nor fx.
package tenant
