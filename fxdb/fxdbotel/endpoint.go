package fxdbotel

import (
	"net"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// endpoint is a host of a connection string with the port.
type endpoint struct {
	host string
	port int
}

// firstOf returns the first host of a connection string.
func firstOf(cc *pgx.ConnConfig) endpoint { return endpoint{cc.Host, int(cc.Port)} }

// peerOf returns the host of cc that conn is connected to, since pgx's Config has the first host of
// several. If several names have the same port, peerOf returns the peer's address. If no host
// matches, for example behind a tunnel, peerOf returns the first host.
func peerOf(conn *pgx.Conn, cc *pgx.ConnConfig) endpoint {
	all := []endpoint{firstOf(cc)}
	for _, f := range cc.Fallbacks { // sslmode=prefer names each host twice
		if e := (endpoint{f.Host, int(f.Port)}); !slices.Contains(all, e) {
			all = append(all, e)
		}
	}
	if len(all) == 1 {
		return all[0]
	}
	var names []endpoint
	peer := conn.PgConn().Conn().RemoteAddr()
	for _, e := range all {
		switch e.is(peer) {
		case yes:
			return e
		case perhaps:
			names = append(names, e)
		}
	}
	if tcp, ok := peer.(*net.TCPAddr); ok && len(names) > 1 {
		return endpoint{tcp.IP.String(), tcp.Port}
	}
	return append(names, all[0])[0]
}

type match int

const (
	no match = iota
	perhaps
	yes
)

// is reports whether e is the address of a connection's peer: perhaps, for a name.
func (e endpoint) is(peer net.Addr) match {
	network, address := pgconn.NetworkAddress(e.host, uint16(e.port))
	tcp, ok := peer.(*net.TCPAddr)
	ip := net.ParseIP(e.host)
	switch {
	case network == peer.Network() && network == "unix" && address == peer.String():
		return yes
	case network == "unix" || !ok || tcp.Port != e.port:
		return no
	case ip == nil:
		return perhaps
	case ip.Equal(tcp.IP):
		return yes
	}
	return no
}
