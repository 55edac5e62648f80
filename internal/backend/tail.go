package backend

import (
	"bytes"
	"errors"
	"io"
)

// Tail sends a look in the same write as the last statement of a holder. The socket of a
// connection writes through the Tail. The zero Tail changes nothing.
type Tail struct {
	behind []byte   // goes behind the next write that runs a statement
	look   *looking // whose answer the server owes after that
	both   []byte   // memory of a write
}

// errLookUnread is the error of a write before the answer to a look was read: the answer would
// be taken for the answer to the write.
var errLookUnread = errors.New("the answer to the look at the session was not read")

// executeSync ends every write of pgx that runs a statement by the extended protocol: Execute
// of the unnamed portal without a limit, and Sync. A write that only prepares or forgets
// statements has other messages in front of Sync.
var executeSync = []byte{'E', 0, 0, 0, 9, 0, 0, 0, 0, 0, 'S', 0, 0, 0, 4}

// WriteTo writes b to the socket, with the look behind b if b runs a statement.
func (t *Tail) WriteTo(socket io.Writer, b []byte) (int, error) {
	switch {
	case t.look == nil || len(b) == 0:
		return socket.Write(b)
	case t.look.due > 0 && b[0] != 'X': // a goodbye needs no answer
		return 0, errLookUnread
	case t.behind == nil || b[0] != 'Q' && !bytes.HasSuffix(b, executeSync):
		return socket.Write(b)
	}
	t.both = append(append(t.both[:0], b...), t.behind...)
	t.behind = nil
	t.look.begin(1)
	n, err := socket.Write(t.both)
	return min(n, len(b)), err
}

// LooksThrough has the look travel behind a statement in the same write. tail belongs to the
// socket that the connection writes to without TLS between.
func (f *Facts) LooksThrough(tail *Tail) {
	if f != nil && f.sessions.Look != nil {
		f.tail, tail.look = tail, &f.look
	}
}

// LookBehind has the look travel with the next write that runs a statement: the last statement
// before the release. The statement must end with the session outside of a transaction.
// Without a LookBehind, [Facts.Look] sends the look.
func (f *Facts) LookBehind() {
	if f != nil && f.tail != nil && f.undo == "" && f.Taint() == Plain {
		f.tail.behind = f.sessions.Look.message
	}
}

// NothingBehind takes LookBehind back, if the statement was not sent.
func (f *Facts) NothingBehind() {
	if f != nil && f.tail != nil {
		f.tail.behind = nil
	}
}
