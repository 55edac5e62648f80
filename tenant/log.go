package tenant

import "go.uber.org/zap/zapcore"

// MarshalLogObject writes the tenant, and the user if the user is not empty, for
// zap.Object("identity", id) and zap.Inline(id). MarshalLogObject leaves the session out: a
// session may be its user's credential.
func (id Identity) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("tenant", id.Tenant)
	if id.User != "" {
		enc.AddString("user", id.User)
	}
	return nil
}
