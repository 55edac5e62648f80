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
	// Settings is the taint of: SET, RESET, UPDATE of pg_settings, or set_config beyond the transaction.
	Settings Taint = 1 << iota
	// Role is the taint of: SET ROLE or SET SESSION AUTHORIZATION, by any of their forms.
	Role
	// Seed is the taint of: the random numbers of the session, which DISCARD ALL leaves as they are.
	Seed
	// Listen is the taint of: LISTEN or UNLISTEN.
	Listen
	// Prepared is the taint of: PREPARE, EXECUTE or DEALLOCATE.
	Prepared
	// Temp is the taint of: a relation or function in the temporary schema, or SELECT INTO.
	Temp
	// AdvisoryLock is the taint of: an advisory lock of the session, taken or given back.
	AdvisoryLock
	// Cursor is the taint of: DECLARE ... WITH HOLD.
	Cursor
	// Procedure is the taint of: CALL, whose statements nobody reads and which can commit.
	Procedure
	// Block is the taint of: DO, the same of a body that the text brings along.
	Block
	// Definition is the taint of: DDL, privileges and maintenance.
	Definition
	// Function is the taint of: a built-in function, or one of a known extension, that changes the
	// session or runs a text.
	Function
	// Discard is the taint of: DISCARD, which drops what pgx believes to be prepared.
	Discard
	// File is the taint of: COPY with a file of the server's or a program.
	File
	// Library is the taint of: LOAD.
	Library
	// Unreadable is the taint of: the text is longer than [MaxText], has a string, name or comment
	// without an end, or has a name in the form U&"...".
	Unreadable
	// Ambiguous is the taint of: a backslash before a quote, which has another meaning if
	// standard_conforming_strings is off.
	Ambiguous
	// Unknown is the taint of: a statement that is on no list.
	Unknown
)

var taintNames = [...]string{
	"settings", "role", "seed", "listen", "prepared", "temp", "advisory lock", "cursor", "procedure", "block", "definition",
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
