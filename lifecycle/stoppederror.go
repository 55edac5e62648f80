package lifecycle

import "fmt"

// stoppedError is the error of a stopped pool. errors.Is matches ErrDraining.
type stoppedError struct{ start error } // why the start failed, or nil

func (e *stoppedError) Error() string {
	const anew = "a pool starts once: build a new application (fx.New), or open a new pool"
	if e.start != nil {
		return fmt.Sprintf("pool is closed because the start has failed (%v): %s", e.start, anew)
	}
	return "pool is closed because the application has stopped: " + anew
}

func (e *stoppedError) Is(target error) bool { return target == ErrDraining }
func (e *stoppedError) Unwrap() error        { return e.start }

// stopError returns why a pool takes no more work: the pool drains, or has stopped.
func (m *Monitor) stopError() error {
	if m.state.Load() != stateStopped {
		return ErrDraining
	}
	if failed := m.failed.Load(); failed != nil {
		return &stoppedError{*failed}
	}
	return &stoppedError{}
}
