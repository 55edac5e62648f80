package fxdb

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// LeftToServer is a value of Config's StatementTimeout, LockTimeout and
// IdleInTransactionTimeout: the pool sets no such limit, and the server's own counts.
// In the environment the value is "server".
//
// A limit that nobody set has onepool's default, unless the role or the database has one
// of its own (ALTER ROLE ... SET, ALTER DATABASE ... SET) or options= sets one. The
// server's configuration file does not count. The start asks for the limits of the role
// and the database once, so a change needs a restart. Behind a pooler (DB_POOLER) the same
// rule holds, for the login that the pooler has on the server; what the pooler itself sets
// there can't be known.
const LeftToServer time.Duration = math.MinInt64

// advice says which setting a transaction met that the server ended.
var advice = map[string]string{
	"25P03": "the transaction was idle for longer than DB_IDLE_IN_TX_TIMEOUT_MS, or the client's fxdb.Timeouts: " +
		"shorten what it waits for, or give the client fxdb.Timeouts with a longer IdleInTransaction",
}

// param is a setting of the server that a connection begins with.
type param struct {
	name, value string
	standard    bool // nobody asked for this value
}

// params are those that c sets.
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
			all = append(all, param{fences[i], milliseconds(limit.value), limit.value == limit.mark})
		}
	}
	return all
}

// setParams adds c's parameters to those that pgx has read. A connection string's own
// come before a field's, and libpq's variables come before a default. It returns the
// limits that the server's own come before: defaults, which nobody asked for.
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
			if p.standard && slices.Contains(fences, p.name) {
				yields = append(yields, p.name)
			}
		}
	}
	return yields
}

// lowerNames makes the names of c's parameters what the server takes them for.
func lowerNames(params map[string]string) {
	for name, value := range params {
		lower := strings.ToLower(name)
		if known := lower == "application_name" || lower == "client_encoding" || slices.Contains(fences, lower); known && lower != name {
			delete(params, name)
			params[lower] = value
		}
	}
}

// optionNames reads the names of the settings in libpq's options: -c name=value and
// --name=value, with a backslash before a space that belongs to a value.
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

// yielded is what the pool's connections begin with, once the server was asked for its
// own limits. Behind a pooler these travel with each transaction, so the scopes change:
// nobody uses them before the start is over.
func (c *core) yielded(pc *pgxpool.Config) *pgxpool.Config {
	own := c.monitor.Yielded()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.own = own
	for _, cl := range c.clients {
		c.scope(cl)
	}
	pc = pc.Copy()
	for _, name := range own {
		delete(pc.ConnConfig.RuntimeParams, name)
	}
	return pc
}

// scope writes a client's scope. c.mu is held.
func (c *core) scope(cl *client) {
	cfg := c.cfg
	cfg.fences = slices.DeleteFunc(slices.Clone(cfg.fences), func(s setting) bool { return slices.Contains(c.own, s.name) })
	statement := c.statement
	if slices.Contains(c.own, "statement_timeout") {
		statement = 0
	}
	cl.scope.Store(newScopeText(cfg, c.application, cl.name, cl.limits, statement))
}

// milliseconds is a timeout as the server takes it: 0 is none.
func milliseconds(d time.Duration) string {
	if d < 0 {
		return "0"
	}
	return strconv.FormatInt(max(d.Milliseconds(), 1), 10)
}
