package sqllex

import (
	"math/bits"
	"strings"
)

// Taint is the set of possible remains of a text on the session, as bits. Zero means plain:
// every statement of the text is on the list of statements that leave nothing. A bit says why
// the text is not plain: the bit decides how to clean the connection.
type Taint uint32

const (
	// Settings is the taint of: SET, RESET, UPDATE of pg_settings, or set_config beyond the
	// transaction.
	Settings Taint = 1 << iota
	// Role is the taint of: SET ROLE or SET SESSION AUTHORIZATION, in any form.
	Role
	// Seed is the taint of: the random numbers of the session, which DISCARD ALL does not reset.
	Seed
	// Listen is the taint of: LISTEN or UNLISTEN.
	Listen
	// Prepared is the taint of: PREPARE, EXECUTE or DEALLOCATE.
	Prepared
	// Temp is the taint of: a relation or function in the temporary schema, or SELECT INTO.
	Temp
	// AdvisoryLock is the taint of: an advisory lock of the session, taken or released.
	AdvisoryLock
	// Cursor is the taint of: DECLARE ... WITH HOLD.
	Cursor
	// Procedure is the taint of: CALL. sqllex can't read the procedure's statements, and a
	// procedure can commit.
	Procedure
	// DoBlock is the taint of: DO. sqllex does not read the block, and a block can commit.
	DoBlock
	// Definition is the taint of: DDL, privileges and maintenance.
	Definition
	// Function is the taint of: a function, built-in or of a known extension, that changes the
	// session or runs a text.
	Function
	// Discard is the taint of: DISCARD, which drops statements that pgx counts as prepared.
	Discard
	// File is the taint of: COPY with a server's file or with a program.
	File
	// Library is the taint of: LOAD.
	Library
	// Unreadable is the taint of: the text is longer than [MaxText], has a string, name or comment
	// without an end, or has a name in the form U&"...".
	Unreadable
	// Ambiguous is the taint of: a backslash before a quote. The meaning depends on
	// standard_conforming_strings.
	Ambiguous
	// Unknown is the taint of: a statement that is on no list.
	Unknown
)

var taintNames = [...]string{
	"settings", "role", "seed", "listen", "prepared", "temp", "advisory lock", "cursor", "procedure", "block", "definition",
	"function", "discard", "file", "library", "unreadable", "ambiguous", "unknown",
}

// String names the bits; the name of zero is plain.
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
