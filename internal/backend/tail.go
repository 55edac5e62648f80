package backend

import (
	"encoding/binary"
	"errors"
	"io"
)

// Tail sends a check in the same write as the last statement of a holder. The socket of a
// connection writes through the Tail. The zero Tail changes nothing.
//
// The fields belong to the holder, then to the pool. pgx says goodbye on a broken connection in
// a goroutine of its own, so nobody writes the fields of a closed connection.
type Tail struct {
	next  []byte        // goes after the next write that runs a statement
	check *pendingCheck // whose answer the server owes after that
	both  []byte        // memory of a short write
}

// shortWrite is the longest statement that a Tail copies to send a check in the same packet.
const shortWrite = 16 << 10

// errCheckUnread is the error of a write before the answer to a check was read: the answer would
// be taken for the answer to the write.
var errCheckUnread = errors.New("the answer to the session check was not read")

// WriteTo writes b to the socket, with the check after b if b runs a statement.
func (t *Tail) WriteTo(socket io.Writer, b []byte) (int, error) {
	switch {
	case t.check == nil || len(b) == 0 || b[0] == 'X': // a goodbye needs no answer
		return socket.Write(b)
	case t.check.due > 0:
		return 0, errCheckUnread
	case t.next == nil || !runsStatement(b):
		return socket.Write(b)
	}
	check := t.next
	t.next = nil
	t.check.begin(1)
	if len(b) <= shortWrite {
		t.both = append(append(t.both[:0], b...), check...)
		n, err := socket.Write(t.both)
		return min(n, len(b)), err
	}
	n, err := socket.Write(b)
	if err == nil {
		_, err = socket.Write(check)
	}
	return n, err
}

// runsStatement reports whether a write of pgx runs a statement and ends with it: a Query
// alone, or an Execute and a Sync after other messages. A write that only prepares or forgets
// statements has another message before Sync. The bytes of a copy or of a parameter decide
// nothing: runsStatement goes from message to message.
func runsStatement(b []byte) bool {
	const header = 5 // the message's type and length; the length includes its own four bytes
	var last, before byte
	for len(b) > 0 {
		if len(b) < header {
			return false
		}
		end := int64(binary.BigEndian.Uint32(b[1:])) + 1
		if end < header || end > int64(len(b)) {
			return false
		}
		before, last, b = last, b[0], b[end:]
	}
	return before == 0 && last == 'Q' || before == 'E' && last == 'S'
}

// ChecksThrough has the check travel after a statement in the same write. tail belongs to the
// socket that the connection writes to without TLS between.
func (f *Facts) ChecksThrough(tail *Tail) {
	if f != nil && f.sessions.Check != nil {
		f.tail, tail.check = tail, &f.check
	}
}

// AppendCheck has the check travel with the next write that runs a statement: the last statement
// before the release. The statement must end with the session outside of a transaction.
// Without a AppendCheck, [Facts.SendCheck] sends the check.
func (f *Facts) AppendCheck() {
	if f != nil && f.tail != nil && f.undo == "" && f.Cleanup() == NoCleanup && !f.conn.IsClosed() {
		f.tail.next = f.sessions.Check.message
	}
}

// DropCheck takes AppendCheck back, if the statement was not sent.
func (f *Facts) DropCheck() {
	if f != nil && f.tail != nil && !f.conn.IsClosed() {
		f.tail.next = nil
	}
}
