package modules

// The bounds of a call.
const (
	// DefaultPage is the number of items in a page, if a call gives no limit.
	DefaultPage = 100
	// MaxPage is the largest number of items in a page.
	MaxPage = 1000
	// PageBytes is the size after which a list ends, in bytes from the server, whatever the list's
	// limit: a row may hold a megabyte. The row that reaches the bound is part of the list.
	PageBytes = 1 << 20
	// MaxRows is the largest number of rows that a call stores. A call is a single statement, which
	// holds locks until the end.
	MaxRows = 10_000
)

// Page is a part of a list. The next page begins behind Next, which is empty at the end of the
// list.
type Page[T any] struct {
	Items []T
	Next  string
}
