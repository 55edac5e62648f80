package lifecycle

import "testing"

func TestAServerOlderThanTheOldestSupportedIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		server server
		want   string
	}{
		{server{version: "14.23", number: 140023}, "server is PostgreSQL 14.23: onepool needs 15 or newer"},
		{server{version: "15.0", number: 150000}, ""},
		{server{version: "18.4", number: 180004}, ""},
	} {
		got := ""
		if err := c.server.supported(); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %q, not %q", c.server.version, got, c.want)
		}
	}
}
