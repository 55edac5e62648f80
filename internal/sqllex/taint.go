package sqllex

import (
	"math/bits"
	"strings"
)

// Taint is what a text may leave on its session, as bits. Zero is a plain text: all
// of its statements are on the list of those that leave nothing. A bit says why the
// text is not plain, so that the connection can be made clean by the right means.
type Taint uint32

const (
	// Settings: SET, RESET, UPDATE of pg_settings, or set_config beyond the transaction.
	Settings Taint = 1 << iota
	// Role: SET ROLE or SET SESSION AUTHORIZATION, by any of their forms.
	Role
	// Seed: the random numbers of the session, which DISCARD ALL leaves as they are.
	Seed
	// Listen: LISTEN or UNLISTEN.
	Listen
	// Prepared: PREPARE, EXECUTE or DEALLOCATE.
	Prepared
	// Temp: a relation or function in the temporary schema, or SELECT INTO.
	Temp
	// AdvisoryLock: an advisory lock of the session, taken or given back.
	AdvisoryLock
	// Cursor: DECLARE ... WITH HOLD.
	Cursor
	// Procedure: CALL or DO, whose statements nobody reads and which can commit.
	Procedure
	// Definition: DDL, privileges and maintenance.
	Definition
	// Function: a built-in function, or one of a known extension, that changes the
	// session or runs a text.
	Function
	// Discard: DISCARD, which drops what pgx believes to be prepared.
	Discard
	// File: COPY with a file of the server's or a program.
	File
	// Library: LOAD.
	Library
	// Unreadable: the text is longer than [MaxText], has a string, name or comment
	// without an end, or has a name in the form U&"...".
	Unreadable
	// Ambiguous: a backslash before a quote, which has another meaning if
	// standard_conforming_strings is off.
	Ambiguous
	// Unknown: a statement that is on no list.
	Unknown
)

var taintNames = [...]string{
	"settings", "role", "seed", "listen", "prepared", "temp", "advisory lock", "cursor", "procedure", "definition",
	"function", "discard", "file", "library", "unreadable", "ambiguous", "unknown",
}

// String names the bits, or says plain.
func (t Taint) String() string {
	if t == 0 {
		return "plain"
	}
	var names []string
	for rest := uint32(t); rest != 0; rest &= rest - 1 {
		if bit := bits.TrailingZeros32(rest); bit < len(taintNames) {
			names = append(names, taintNames[bit])
		}
	}
	return strings.Join(names, ", ")
}
