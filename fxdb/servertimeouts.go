package fxdb

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// LeftToServer is a value of StatementTimeout, LockTimeout and IdleInTransactionTimeout in
// [Config]: the pool sets no limit, and the server's own limit counts. In the environment
// the value is "server".
//
// A limit without a setting has onepool's default, unless the role or the database has a
// limit (ALTER ROLE ... SET, ALTER DATABASE ... SET) or options= sets a limit. The
// server's configuration file does not count. The start asks for the limits of the role
// and the database once, so a change needs a restart. Behind a pooler (DB_POOLER) the same
// rule holds for the pooler's login on the server. onepool can't know the limits that the
// pooler sets.
const LeftToServer time.Duration = math.MinInt64

// advice explains the SQLSTATE of a transaction that the server ended by a setting.
var advice = map[string]string{
	"25P03": "the transaction was idle for longer than DB_IDLE_IN_TX_TIMEOUT_MS, or the client's fxdb.Timeouts: " +
		"shorten the wait inside the transaction, or give the client fxdb.Timeouts with a longer IdleInTransaction",
	"25P04": "the transaction took longer than DB_TRANSACTION_TIMEOUT_MS, the client's fxdb.Timeouts or a second more than the deadline of InTx: " +
		"shorten the transaction, or give the client fxdb.Timeouts with a longer Transaction",
}

// param is a setting of the server at the begin of a connection.
type param struct {
	name, value string
	standard    bool // nobody asked for this value
}

// params returns the server settings of c.
func (c Config) params() []param {
	all := []param{
		{"application_name", c.ApplicationName, c.ApplicationName == c.filled.application},
		{"client_encoding", "UTF8", true}, // on a session with another, no text is plain
	}
	for i, limit := range []struct{ value, mark time.Duration }{
		{c.StatementTimeout, c.filled.statement},
		{c.LockTimeout, c.filled.lock},
		{c.IdleInTransactionTimeout, c.filled.idleInTxn},
	} {
		if limit.value != LeftToServer {
			all = append(all, param{timeoutSettings[i], milliseconds(limit.value), limit.value == limit.mark})
		}
	}
	return all
}

// setParams adds c's parameters to the parameters that pgx has read. A parameter of the
// connection string comes before a field, and libpq's variables come before a default.
// yields are the default limits that give way to the server's own limits.
func (c Config) setParams(read map[string]string) (yields []string) {
	lowerNames(read)
	said := settingsOf(c.URL)
	lowerNames(said)
	for _, p := range c.params() {
		before := said
		if p.standard {
			before = read
		}
		if _, ok := before[p.name]; !ok && !optionNames(before["options"])[p.name] {
			read[p.name] = p.value
			if p.standard && slices.Contains(timeoutSettings, p.name) {
				yields = append(yields, p.name)
			}
		}
	}
	return yields
}

// lowerNames writes the names of c's parameters in lower case, as the server does.
func lowerNames(params map[string]string) {
	for name, value := range params {
		lower := strings.ToLower(name)
		if known := lower == "application_name" || lower == "client_encoding" || slices.Contains(timeoutSettings, lower); known && lower != name {
			delete(params, name)
			params[lower] = value
		}
	}
}

// optionNames reads the names of the settings in libpq's options: -c name=value and
// --name=value, with a backslash before a space inside a value.
func optionNames(s string) map[string]bool {
	set := make(map[string]bool)
	var words []string
	var word strings.Builder
	for i := 0; i <= len(s); i++ {
		switch {
		case i == len(s) || strings.IndexByte(" \t\n\r\v\f", s[i]) >= 0:
			if word.Len() > 0 {
				words = append(words, word.String())
				word.Reset()
			}
		case s[i] == '\\' && i+1 < len(s):
			i++
			fallthrough
		default:
			word.WriteByte(s[i])
		}
	}
	for i := 0; i < len(words); i++ {
		text := words[i]
		switch {
		case text == "-c" && i+1 < len(words):
			i++
			text = words[i]
		case strings.HasPrefix(text, "-c"), strings.HasPrefix(text, "--"):
			text = text[2:]
		default:
			continue
		}
		name, _, _ := strings.Cut(text, "=")
		set[strings.ToLower(strings.ReplaceAll(name, "-", "_"))] = true
	}
	return set
}

// yielded returns the configuration of the pool's connections, after the server has
// reported its own limits. Behind a pooler the limits travel with each transaction, so the
// scopes change: no statement uses a scope before the start is over.
func (c *core) yielded(pc *pgxpool.Config) *pgxpool.Config {
	serverSet := c.monitor.Yielded()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serverSet = serverSet
	for _, cl := range c.clients {
		c.setSettings(cl)
	}
	pc = pc.Copy()
	for _, name := range serverSet {
		delete(pc.ConnConfig.RuntimeParams, name)
	}
	return pc
}

// milliseconds formats a timeout for the server: 0 is no timeout.
func milliseconds(d time.Duration) string {
	if d < 0 {
		return "0"
	}
	return strconv.FormatInt(max(d.Milliseconds(), 1), 10)
}
