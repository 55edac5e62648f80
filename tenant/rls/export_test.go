package rls

// ProbeTimeout makes Verify give up on a probe earlier.
func ProbeTimeout(limit string) VerifyOption {
	return func(o *verifyOptions) { o.probeTimeout = limit }
}
