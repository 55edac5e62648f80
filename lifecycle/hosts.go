package lifecycle

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// pgx connects to the hosts of a connection string one after the other, and waits for a
// silent host until its connect timeout, for each new connection anew. So the pool asks the
// hosts first, and prefers hosts that answer.
const (
	hostPatience = 250 * time.Millisecond // for an answer, before the next host is asked too
	hostAnswered = time.Second            // how long an answer counts
	hostSilent   = 10 * time.Second       // how long a silent host comes last
)

// hosts remembers the hosts that answer.
type hosts struct {
	mu       sync.Mutex
	answered map[string]time.Time // by address: when the host answered last
	silent   map[string]time.Time // by address: when the host was silent last
}

type host struct {
	network, address string
	*pgconn.FallbackConfig
}

// hostsOf returns the hosts of cc in their order. sslmode=prefer has an entry for a host
// with TLS, and another without.
func hostsOf(cc *pgx.ConnConfig) []host {
	all := []host{{FallbackConfig: &pgconn.FallbackConfig{Host: cc.Host, Port: cc.Port, TLSConfig: cc.TLSConfig}}}
	for _, f := range cc.Fallbacks {
		all = append(all, host{FallbackConfig: f})
	}
	for i := range all {
		all[i].network, all[i].address = pgconn.NetworkAddress(all[i].Host, all[i].Port)
	}
	return all
}

// PreferAnswering moves the silent hosts of cc after the hosts that answer, as the pool does
// for its own connections, and the silent addresses of a host's name after the addresses that
// answer. PreferAnswering asks no host if cc has a single host. If cc prefers a standby,
// PreferAnswering leaves out silent hosts: pgx would wait for each before pgx takes the primary.
func (m *Monitor) PreferAnswering(ctx context.Context, cc *pgx.ConnConfig) {
	all := resolve(ctx, cc, hostsOf(cc))
	var names []host
	for _, h := range all {
		if !slices.ContainsFunc(names, func(n host) bool { return n.address == h.address }) {
			names = append(names, h)
		}
	}
	if len(names) < 2 {
		return
	}
	ask, every := m.hosts.ask, prefersStandby(cc)
	if every {
		ask = m.hosts.askAll
	}
	first, last := partition(all, ask(ctx, names, m.askHost))
	if all = first; !every || len(first) == 0 {
		all = slices.Concat(first, last)
	}
	cc.Host, cc.Port, cc.TLSConfig, cc.Fallbacks = all[0].Host, all[0].Port, all[0].TLSConfig, nil
	for _, h := range all[1:] {
		cc.Fallbacks = append(cc.Fallbacks, h.FallbackConfig)
	}
}

// partition returns the hosts that are not silent, and the silent hosts.
func partition(all []host, silent map[string]bool) (first, last []host) {
	for _, h := range all {
		if silent[h.address] {
			last = append(last, h)
		} else {
			first = append(first, h)
		}
	}
	return first, last
}

// resolve replaces a name with several addresses by the addresses, in pgx's order: pgx would
// wait for each silent address. Names with a single address stay.
func resolve(ctx context.Context, cc *pgx.ConnConfig, all []host) (resolved []host) {
	known := make(map[string][]string)
	given := cc.LookupFunc
	lookup := func(ctx context.Context, name string) ([]string, error) {
		if addrs, ok := known[name]; ok {
			return addrs, nil
		}
		return given(ctx, name)
	}
	for _, h := range all {
		if h.network == "unix" {
			resolved = append(resolved, h)
			continue
		}
		addrs, err := lookup(ctx, h.Host)
		if err != nil { // pgx says why
			resolved = append(resolved, h)
			continue
		}
		if known[h.Host] = addrs; len(addrs) < 2 {
			resolved = append(resolved, h)
			continue
		}
		for _, addr := range addrs {
			one := *h.FallbackConfig
			one.Host = addr
			if ip, port, err := net.SplitHostPort(addr); err == nil { // the lookup may name a port
				n, _ := strconv.ParseUint(port, 10, 16)
				one.Host, one.Port = ip, uint16(n)
			}
			network, address := pgconn.NetworkAddress(one.Host, one.Port)
			known[one.Host] = []string{one.Host}
			resolved = append(resolved, host{network, address, &one})
		}
	}
	cc.LookupFunc = lookup // the answers hold for this connection
	return resolved
}

// answer is the reply of a host: true if a server answered, false if nothing listens.
type answer struct {
	address string
	serves  bool
}

// ask returns the addresses of the hosts that are silent. ask asks one host after the other
// until a server answers, and waits for each host for at most hostPatience.
func (h *hosts) ask(ctx context.Context, names []host, ask func(context.Context, host) (serves bool)) map[string]bool {
	silent := h.known()
	ctx, cancel := context.WithCancel(ctx)
	var asked sync.WaitGroup
	defer asked.Wait()
	defer cancel()
	answers := make(chan answer, len(names))
	waiting := make(map[string]bool)
	for _, name := range names {
		if silent[name.address] {
			continue
		}
		if h.hasAnswered(name.address) {
			return silent
		}
		waiting[name.address] = true
		asked.Go(func() { answers <- answer{name.address, ask(ctx, name)} })
		patience := time.NewTimer(hostPatience)
		select {
		case got := <-answers:
			patience.Stop()
			delete(waiting, got.address)
			if !got.serves {
				continue // pgx goes on at once, too
			}
			h.note(got.address, true)
			for address := range waiting {
				h.note(address, false)
				silent[address] = true
			}
			return silent
		case <-patience.C:
		case <-ctx.Done():
			patience.Stop()
			return silent
		}
	}
	return silent // no server has answered: pgx says why
}

// askAll is ask for a connection that tries all hosts: askAll asks all hosts at once.
func (h *hosts) askAll(ctx context.Context, names []host, ask func(context.Context, host) (serves bool)) map[string]bool {
	silent := h.known()
	ctx, cancel := context.WithTimeout(ctx, hostPatience)
	var asked sync.WaitGroup
	var mu sync.Mutex
	quiet := make(map[string]bool)
	serves := false
	names = slices.DeleteFunc(slices.Clone(names), func(name host) bool {
		known := !silent[name.address] && h.hasAnswered(name.address)
		serves = serves || known
		return known || silent[name.address]
	})
	for _, name := range names {
		asked.Go(func() {
			answered := ask(ctx, name)
			late := ctx.Err() != nil
			mu.Lock()
			defer mu.Unlock()
			if serves = serves || answered; answered {
				h.note(name.address, true)
			} else if late { // not a refusal
				quiet[name.address] = true
			}
		})
	}
	asked.Wait()
	cancel()
	if !serves { // pgx says why
		return silent
	}
	for address := range quiet {
		h.note(address, false)
		silent[address] = true
	}
	return silent
}

func (h *hosts) known() map[string]bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	silent := make(map[string]bool)
	for address, at := range h.silent {
		if time.Since(at) < hostSilent {
			silent[address] = true
		}
	}
	return silent
}

func (h *hosts) hasAnswered(address string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Since(h.answered[address]) < hostAnswered
}

func (h *hosts) note(address string, answered bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.answered == nil {
		h.answered, h.silent = make(map[string]time.Time), make(map[string]time.Time)
	}
	if answered {
		h.answered[address] = time.Now()
		delete(h.silent, address)
	} else {
		h.silent[address] = time.Now()
		delete(h.answered, address)
	}
}

// sslRequestCode asks a server, before any login, whether the server speaks TLS. The server
// answers with one byte, and logs nothing (PostgreSQL's documentation, 55.7
// "SSLRequest").
const sslRequestCode = 80877103

// askHost reports whether a server answers at the host.
func (m *Monitor) askHost(ctx context.Context, h host) bool {
	conn, err := m.sockets.dial(context.WithValue(ctx, connectingKey{}, &connecting{}), h.network, h.address)
	if err != nil {
		return false
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	request := binary.BigEndian.AppendUint32(nil, 8)
	request = binary.BigEndian.AppendUint32(request, sslRequestCode)
	if _, err = conn.Write(request); err != nil {
		return false
	}
	_, err = io.ReadFull(conn, make([]byte, 1))
	return err == nil
}
