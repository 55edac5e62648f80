package backend

import "time"

// LookSettings are the settings that a look reads.
var LookSettings = lookSettings

// Memory is how many bytes t keeps for later writes.
func (t *Tail) Memory() int { return cap(t.both) }

// Age has the look under way be sent earlier.
func (f *Facts) Age(by time.Duration) { f.look.sent = f.look.sent.Add(-by) }
