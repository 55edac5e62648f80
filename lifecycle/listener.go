package lifecycle

import (
	"strings"
	"time"
)

// listens recognises LISTEN, and UNLISTEN of all channels. changes is false for all remaining
// statements.
func listens(sql string) (on, changes bool) {
	sql = strings.TrimLeft(sql, " \t\r\n")
	switch {
	case len(sql) > len("listen") && strings.EqualFold(sql[:len("listen")], "listen"):
		return true, strings.ContainsRune(" \t\r\n\"/", rune(sql[len("listen")]))
	case len(sql) > len("unlisten") && strings.EqualFold(sql[:len("unlisten")], "unlisten"):
		return false, strings.ContainsRune(sql, '*')
	}
	return false, false
}

// listening reports whether the holder of a connection that has subscribed to a channel
// waits for a notification: the holder reads, and no statement runs.
func (s *slot) listening() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waitsForNotification()
}

func (s *slot) waitsForNotification() bool {
	return s.held && s.listens && !s.running && s.socket != nil && s.socket.reading.Load() > 0
}

// heldTooLong reports, once, that a holder has kept a connection longer than the threshold.
// A wait for notifications may last, and does not count.
func (s *slot) heldTooLong(now int64, threshold time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waitsForNotification() {
		s.listened = now
	}
	if !s.held || s.reported || now-max(s.since, s.listened) < int64(threshold) {
		return false
	}
	s.reported = true
	return true
}

// endListeners ends the waits for notifications, with ErrDraining, and returns the number of
// ended waits: a wait for a notification has no end of its own.
func (m *Monitor) endListeners() (ended int) {
	for _, s := range m.heldSlots() {
		if s.listening() && s.socket.stopped.CompareAndSwap(false, true) {
			ended++
			s.socket.Conn.Close()
		}
	}
	return ended
}
