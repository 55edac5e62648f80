package modules

// The bounds of a call. A row may hold a megabyte, so a list ends after PageBytes too, and the
// row that reaches PageBytes is part of the list.
const (
	DefaultPage = 100     // items in a page, if a call gives no limit
	MaxPage     = 1000    // items in a page at most
	PageBytes   = 1 << 20 // bytes from the server after which a list ends, whatever the limit
	MaxRows     = 10_000  // rows that a call writes at most, in a single statement
)

// Page is a part of a list. The next page begins behind Next, also if the page's last row has
// changed or gone since. Next is empty at the end of the list.
type Page[T any] struct {
	Items []T
	Next  string
}
