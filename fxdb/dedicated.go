package fxdb

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/agentagency/onepool/lifecycle"
)

// dedicated reads a member of DB_DEDICATED: a client's name, and after "=" the number of
// connections of the client's pool. conns is 0 if DB_POOL_MAX is the number.
func dedicated(member string) (name string, conns int32, err *ConfigError) {
	name, number, sized := strings.Cut(member, "=")
	if checkName("Client", name) != nil || name == rootClient {
		return "", 0, &ConfigError{Setting: "DB_DEDICATED", Reason: fmt.Sprintf("%q names no client: must be a list of name or name=connections", member)}
	}
	if sized {
		n, err := strconv.ParseInt(number, 10, 32)
		if err != nil || n < 1 {
			return "", 0, &ConfigError{Setting: "DB_DEDICATED", Reason: fmt.Sprintf("%q: %q is no number of connections", member, number)}
		}
		conns = int32(n)
	}
	return name, conns, nil
}

// dedicatedConns returns the number of connections that a member's pool may have.
func dedicatedConns(member string, poolMax int32) int32 {
	if _, conns, _ := dedicated(member); conns > 0 {
		return conns
	}
	return poolMax
}

// validateDedicated refuses malformed members and duplicate names.
func validateDedicated(members []string) *ConfigError {
	var names []string
	for _, m := range members {
		name, _, err := dedicated(m)
		if err != nil {
			return err
		}
		if slices.Contains(names, name) {
			return &ConfigError{Setting: "DB_DEDICATED", Reason: fmt.Sprintf("names %q twice", name)}
		}
		names = append(names, name)
	}
	return nil
}

// Monitors returns the monitor of the shared pool, then the monitors of the DB_DEDICATED
// pools, in the order of Stats.Dedicated.
func (db *DB) Monitors() []*lifecycle.Monitor { return db.core.monitors() }

// monitors returns the monitors of all pools, the shared pool's first.
func (c *core) monitors() []*lifecycle.Monitor {
	all := []*lifecycle.Monitor{c.monitor}
	for _, d := range c.cfg.Dedicated {
		name, _, _ := dedicated(d) // validate has read d
		all = append(all, c.dedicated[name])
	}
	return all
}

// warnUnknownClients warns of members of DB_DEDICATED that no client has. With fx all clients
// have a name by the time of the start. Without fx the program may name clients until the
// pool closes.
func (c *core) warnUnknownClients() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name := range c.dedicated {
		if !slices.ContainsFunc(c.clients, func(cl *client) bool { return cl.name == name }) {
			c.log.Warn("DB_DEDICATED keeps a pool for a client that the program never names: correct the name in DB_DEDICATED", zap.String("client", name))
		}
	}
}
