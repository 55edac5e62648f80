package backend

import (
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgconn"
)

// End is how the server or the network ended a connection. The socket of the connection
// writes End; any goroutine may read End.
type End struct {
	said  atomic.Pointer[pgconn.PgError]
	broke atomic.Pointer[error]
}

// Hear keeps the server's message at the end of the connection.
func (e *End) Hear(said *pgconn.PgError) { e.said.Store(said) }

// Said returns the server's message at the end of the connection, or nil.
func (e *End) Said() *pgconn.PgError { return e.said.Load() }

// Break keeps the first error of a read or a write.
func (e *End) Break(err error) { e.broke.CompareAndSwap(nil, &err) }

// EndedBy returns the SQLSTATE with which the server ended the connection. EndedBy returns ""
// for a connection that lives, or that broke without a message.
func (f *Facts) EndedBy() string {
	if f == nil || f.end == nil {
		return ""
	}
	if said := f.end.Said(); said != nil {
		return said.Code
	}
	return ""
}

// BrokenBy returns the network error that broke the connection, with the server's last
// message: pgconn reports only "conn closed" for a later statement. BrokenBy returns nil for
// a connection that lives, or that this process has closed.
func (f *Facts) BrokenBy() error {
	if f == nil || f.end == nil {
		return nil
	}
	if err := f.end.broke.Load(); err != nil {
		return *err
	}
	return nil
}
