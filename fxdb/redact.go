package fxdb

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

const redacted = "xxxxx"

// public returns a copy that may be shown: passwords are replaced, and a URL is
// shown only if the redaction can find the password in the URL.
func (c Config) public() Config {
	if c.Password != "" {
		c.Password = redacted
	}
	c.URL = redactURL(c.URL)
	c.MigrateURL = redactURL(c.MigrateURL)
	return c
}

// shown has Config's fields and none of its methods.
type shown Config

// String returns the configuration without passwords.
func (c Config) String() string { return fmt.Sprintf("%+v", shown(c.public())) }

// GoString returns the configuration without passwords, for %#v.
func (c Config) GoString() string {
	return strings.Replace(fmt.Sprintf("%#v", shown(c.public())), "fxdb.shown", "fxdb.Config", 1)
}

// Format writes the configuration without passwords, whatever the verb.
func (c Config) Format(f fmt.State, verb rune) {
	if verb == 'v' && f.Flag('#') {
		_, _ = io.WriteString(f, c.GoString())
		return
	}
	_, _ = io.WriteString(f, c.String())
}

// MarshalJSON encodes the configuration without passwords. zap's Any and
// Reflect fields use it too.
func (c Config) MarshalJSON() ([]byte, error) { return json.Marshal(shown(c.public())) }

// LogValue is the configuration without passwords, for log/slog.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }
