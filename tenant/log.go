package tenant

import "go.uber.org/zap/zapcore"

// MarshalLogObject writes the tenant, and the user where there is one, for
// zap.Object("identity", id) and zap.Inline(id). The session is left out: it may
// be what its user signs in with.
func (id Identity) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("tenant", id.Tenant)
	if id.User != "" {
		enc.AddString("user", id.User)
	}
	return nil
}
