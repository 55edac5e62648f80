package sqllex

// Kind is the kind of a statement, by the first words.
type Kind uint8

// The kinds of statements.
const (
	KindOther  Kind = iota // on no list
	KindSelect             // also VALUES, TABLE and SELECT INTO
	KindInsert
	KindUpdate
	KindDelete
	KindMerge
	KindExplain
	KindTruncate
	KindCopy
	KindDeclare
	KindFetch // also MOVE
	KindClose
	KindShow
	KindLock
	KindNotify
	KindListen  // also UNLISTEN
	KindControl // BEGIN, COMMIT, ROLLBACK and synonyms
	KindSavepoint
	KindSet // also RESET and SET TRANSACTION
	KindSetConstraints
	KindPrepare
	KindExecute
	KindDeallocate
	KindDiscard // or a part of DISCARD ALL
	KindCall
	KindDo
	KindLoad
	KindDefine // DDL, privileges and maintenance
)

var kindNames = [...]string{
	"other", "select", "insert", "update", "delete", "merge", "explain", "truncate", "copy", "declare", "fetch", "close", "show", "lock", "notify",
	"listen", "control", "savepoint", "set", "set constraints", "prepare", "execute", "deallocate", "discard", "call", "do", "load", "define",
}

func (k Kind) String() string { return kindNames[k] }
