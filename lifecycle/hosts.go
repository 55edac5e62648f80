package lifecycle

import (
	"context"
	"encoding/binary"
	"io"
	"slices"
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

// PreferAnswering moves the silent hosts of cc behind the hosts that answer, as the pool does
// for its own connections. PreferAnswering asks no host if cc has a single host.
func (m *Monitor) PreferAnswering(ctx context.Context, cc *pgx.ConnConfig) {
	all := hostsOf(cc)
	names := slices.CompactFunc(slices.Clone(all), func(a, b host) bool { return a.address == b.address })
	if len(names) < 2 {
		return
	}
	silent := m.hosts.ask(ctx, names, m.askHost)
	var first, last []host
	for _, h := range all {
		if silent[h.address] {
			last = append(last, h)
		} else {
			first = append(first, h)
		}
	}
	all = slices.Concat(first, last)
	cc.Host, cc.Port, cc.TLSConfig, cc.Fallbacks = all[0].Host, all[0].Port, all[0].TLSConfig, nil
	for _, h := range all[1:] {
		cc.Fallbacks = append(cc.Fallbacks, h.FallbackConfig)
	}
}

// answer is the reply of a host: true if a server answered, false if nothing listens.
type answer struct {
	address string
	serves  bool
}

// ask returns the addresses of the hosts that are silent. It asks one host after the other
// until a server answers, and does not wait for a host longer than hostPatience.
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
