package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// AcquireError says why an acquire got no connection, and who holds the connections.
//
// errors.Is matches ErrAcquireTimeout if the acquire timeout ended the wait, ErrServerAway if
// Config.ServerWaitFraction ended the wait, and the context's error if the caller's own
// deadline ended the wait.
type AcquireError struct {
	// Client is the name of the client that asked.
	Client string
	// Waited is the time from the call to the failure.
	Waited time.Duration
	// Max, Total, Idle, Active and Waiting are the figures of the pool at the failure:
	// connections at most, open, idle and in use, and waiters.
	Max, Total, Idle, Active, Waiting int
	// Holders are the holders of the connections, longest first, at most three.
	Holders []Holder
	// Err is the reason: ErrAcquireTimeout, ErrQueueFull, ErrQueueShed, ErrServerAway or the context's
	// error.
	Err error
	// Connect is the error of the last attempt to reach the server, or nil.
	Connect error
	// Nested reports that the caller's own transaction holds a connection of the pool.
	Nested bool
	// AmongNested reports that a further waiter's own transaction holds a connection.
	AmongNested bool
	// Hint names the limit that kept the caller waiting, and the remedy. Hint is empty if
	// the pool itself was full.
	Hint string

	settings settings
}

// Error returns one line with figures, holders and what to do. The line does not name the
// holders' tenants: see Holders.
func (e *AcquireError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v: client %q waited %s for a connection: %d of %d in use, %d waiting",
		e.Err, e.Client, e.Waited.Round(time.Millisecond), e.Active, e.Max, e.Waiting)
	for i, h := range e.Holders {
		sep := "; "
		if i == 0 {
			sep = "; longest held: "
		}
		h.Tenant = "" // the error may reach another tenant
		b.WriteString(sep + h.String())
	}
	if e.Connect != nil {
		fmt.Fprintf(&b, "; the server can't be reached: %v", e.Connect)
	}
	switch {
	case e.Nested:
		fmt.Fprintf(&b, "; %v", ErrNestedAcquire)
	case e.Connect != nil: // neither a limit nor a larger pool helps
	case e.Hint != "":
		b.WriteString("; " + e.Hint)
	case e.AmongNested:
		b.WriteString("; a waiter's own transaction holds a connection, and a larger pool does not help: " +
			e.settings.name("Nested") + " names each place")
	case e.opening() > e.Active:
		fmt.Fprintf(&b, "; the pool still opens %d connections: look at the server and the network", e.opening())
	case e.Active == 0:
		b.WriteString("; no caller holds a connection: look at the server and the network")
	default:
		b.WriteString("; raise " + e.settings.name("MaxConns") + ", shorten the work or look for a connection that is not released")
	}
	return b.String()
}

// opening is how many connections were being opened.
func (e *AcquireError) opening() int { return e.Total - e.Idle - e.Active }

// Unwrap returns Err (see there), Connect if not nil, and ErrNestedAcquire if Nested is true.
func (e *AcquireError) Unwrap() []error {
	all := []error{e.Err}
	if e.Connect != nil {
		all = append(all, e.Connect)
	}
	if e.Nested {
		all = append(all, ErrNestedAcquire)
	}
	return all
}

// acquireError adds the holders of the connections to the error of a wait that has ended.
func (m *Monitor) acquireError(ctx context.Context, a *acquisition, unreachable, err error) error {
	switch {
	case errors.Is(err, ErrDraining):
		return m.stopError()
	case errors.Is(err, ErrNotStarted):
		return ErrNotStarted
	case errors.Is(err, ErrNestedAcquire):
		return err
	case a.Err() == nil && m.Draining():
		return m.stopError() // a passed the gate, and found pgxpool closed
	case a.Err() == nil && a.warms():
		return err
	case a.Err() == nil && !errors.Is(err, ErrServerAway):
		return fmt.Errorf("acquire a connection: %w", err)
	}
	reason := a.Err()
	switch {
	case ctx.Err() != nil:
		reason = ctx.Err()
	case reason == nil:
		reason = ErrServerAway
	}
	// A nested acquire waits for its own goroutine: a probe that a busy machine held up is no reason.
	if failed := m.probeError(); unreachable == nil && failed != nil && !a.nested {
		unreachable = errors.New(failed.Error()) // the probe's deadline is not the caller's
	}
	st := m.pool.Stat()
	e := &AcquireError{
		settings: m.cfg.Settings,
		Client:   a.request.Client, Waited: a.waited(), Err: reason, Connect: unreachable,
		Max: int(st.MaxConns()), Total: int(st.TotalConns()), Idle: int(st.IdleConns()),
		Active: int(st.AcquiredConns()), Waiting: m.Waiting(), Holders: m.Holders(), Nested: a.nested,
	}
	if a.refused != nil {
		e.Hint = a.limitHint
	}
	if a.nested {
		m.nestedFailed.Store(time.Now().UnixNano())
	} else {
		e.AmongNested = m.amongNested(a)
	}
	if len(e.Holders) > 3 {
		e.Holders = e.Holders[:3]
	}
	return e
}
