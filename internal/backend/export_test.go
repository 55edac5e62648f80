package backend

import "time"

// CheckedSettings are the settings that a check reads.
var CheckedSettings = checkedSettings

// Memory is how many bytes t keeps for later writes.
func (t *Tail) Memory() int { return cap(t.both) }

// Age has the check under way be sent earlier.
func (f *Facts) Age(by time.Duration) { f.check.sent = f.check.sent.Add(-by) }
