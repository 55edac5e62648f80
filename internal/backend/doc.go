// Package backend keeps the facts of a connection that lifecycle and fxdb share: how the
// connection ended, what its texts have left on the session, which statements the holder has
// prepared by name, and what undoes the holder's settings. With a [SessionCheck] the facts also hold
// what the session itself shows.
//
// lifecycle makes the [Facts] of each connection of a pool, and acts on the facts before the
// next holder. fxdb reads the facts for retries and errors, and adds the facts of texts that
// no tracer sees.
package backend
