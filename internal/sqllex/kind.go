package sqllex

// Kind is the kind of a statement, by the first words.
type Kind uint8

// The kinds of statements.
const (
	Other  Kind = iota // on no list
	Select             // also VALUES, TABLE and SELECT INTO
	Insert
	Update
	Delete
	Merge
	Explain
	Truncate
	Copy
	Declare
	Fetch // also MOVE
	Close
	Show
	LockTable
	Notify
	ListenTo // also UNLISTEN
	Control  // BEGIN, COMMIT, ROLLBACK and synonyms
	Savepoint
	Set // also RESET and SET TRANSACTION
	SetConstraints
	PrepareStatement
	ExecuteStatement
	Deallocate
	DiscardAll // or a part of DISCARD ALL
	Call
	Do
	Load
	Define // DDL, privileges and maintenance
)

var kindNames = [...]string{
	"other", "select", "insert", "update", "delete", "merge", "explain", "truncate", "copy", "declare", "fetch", "close", "show", "lock", "notify",
	"listen", "control", "savepoint", "set", "set constraints", "prepare", "execute", "deallocate", "discard", "call", "do", "load", "define",
}

func (k Kind) String() string { return kindNames[k] }
