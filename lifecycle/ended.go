package lifecycle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// endedError is the error of a connection that the server ended, with the server's message.
type endedError struct {
	error
	said *pgconn.PgError
}

func (e *endedError) Error() string {
	return e.error.Error() + ": the server had ended the connection: " + e.said.Error()
}

func (e *endedError) Unwrap() []error { return []error{e.error, e.said} }

// hearEnds keeps the server's message at the end of a connection. A crash and an immediate
// stop send a notice, and pgconn's error lacks the notice.
func hearEnds(cc *pgx.ConnConfig, advice map[string]string) {
	onError, onNotice := cc.OnPgError, cc.OnNotice
	cc.OnPgError = func(conn *pgconn.PgConn, err *pgconn.PgError) bool {
		keep := onError == nil || onError(conn, err)
		if !keep {
			advise(err, advice)
			hear(conn, err)
		}
		return keep
	}
	cc.OnNotice = func(conn *pgconn.PgConn, n *pgconn.Notice) {
		if said := (*pgconn.PgError)(n); isEnd(said) {
			hear(conn, said)
		}
		if onNotice != nil {
			onNotice(conn, n)
		}
	}
}

// advise appends advice to the server's message. The error stays a bare *pgconn.PgError.
func advise(said *pgconn.PgError, advice map[string]string) {
	if text := advice[said.Code]; text != "" && !strings.HasSuffix(said.Message, text) {
		said.Message += ": " + text
	}
}

func hear(conn *pgconn.PgConn, said *pgconn.PgError) {
	if s := socketUnder(conn.Conn()); s != nil {
		s.end.Hear(said)
	}
}

// isEnd reports whether a message ends a connection, also a message that is no error.
func isEnd(said *pgconn.PgError) bool { return strings.HasPrefix(said.Code, "57P0") }

// noteEnd notes by an error that the server or the network ended the connection, and adds the server's
// message to the error. Keepalive and the user timeout also end a connection: pgconn takes
// both for a deadline, reads once more, and reports the end of the stream.
func (c *socket) noteEnd(err error) error {
	if c.stopped.Load() {
		return ErrDraining
	}
	if c.left.Load() {
		err = errServerLeft
		c.ended.Store(true)
		c.end.Break(err)
		return err
	}
	if c.closed.Load() || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) {
		return err
	}
	c.ended.Store(true)
	if errors.Is(err, syscall.ETIMEDOUT) {
		c.owner.silent.Store(time.Now().UnixNano())
	}
	if said := c.end.Said(); said != nil {
		err = &endedError{err, said}
	}
	c.end.Break(err)
	return err
}

// lastWordsWait bounds the read of the server's last message after the server has closed
// a connection. The kernel holds the message already, so only a starved process needs more
// than a moment.
const lastWordsWait = 5 * time.Second

// hearLastWords reads the server's last message after a write to a closed connection failed.
// Through a Unix socket the write fails at once, and pgconn does not read on.
func (c *socket) hearLastWords() {
	if c.end.Said() != nil || c.Conn.SetReadDeadline(time.Now().Add(lastWordsWait)) != nil {
		return
	}
	// A read in the background may have taken the words a moment ago. The server has closed the
	// connection, so the read ends.
	c.readMu.Lock()
	defer c.readMu.Unlock()
	buf := make([]byte, 0, 8<<10)
	for len(buf) < cap(buf) {
		n, err := c.Conn.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err != nil {
			break
		}
	}
	said := lastWords(buf)
	if said == nil {
		said = c.overheard
	}
	if said != nil {
		advise(said, c.owner.advice)
		c.end.Hear(said)
	}
}

// overhear keeps a FATAL error for a later write that fails. pgconn reads in the
// background during a slow write, and drops the bytes of the read if the write fails. The
// caller holds readMu.
func (c *socket) overhear(b []byte) {
	if said := lastWords(b); said != nil && said.SeverityUnlocalized == "FATAL" {
		c.overheard = said
	}
}

// endsReady reports whether the server's last message is ReadyForQuery: the connection lives.
func endsReady(b []byte) bool {
	return len(b) > 5 && bytes.HasPrefix(b[len(b)-6:], []byte{'Z', 0, 0, 0, 5})
}

// lastWords finds the last message that may have ended a connection. Under TLS, and if b begins
// amid a message, lastWords finds no message.
func lastWords(b []byte) (last *pgconn.PgError) {
	const header = 5 // the message's type and length; the length includes its own four bytes
	for len(b) >= header {
		end := int64(binary.BigEndian.Uint32(b[1:])) + 1
		if end < header || end > int64(len(b)) {
			break
		}
		var m pgproto3.ErrorResponse
		if (b[0] == 'E' || b[0] == 'N') && m.Decode(b[header:end]) == nil {
			if said := pgconn.ErrorResponseToPgError(&m); b[0] == 'E' || isEnd(said) {
				last = said
			}
		}
		b = b[end:]
	}
	return last
}
