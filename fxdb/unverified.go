package fxdb

import (
	"crypto/tls"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"
)

// warnOfUnverified logs the servers of a setting's connections that may pass for the real
// servers: an attacker on the way answers with a certificate of the attacker's own, or without
// TLS. The warning judges what pgx will do, so libpq's variables and service files count.
func warnOfUnverified(log *zap.Logger, setting string, cc *pgx.ConnConfig) {
	servers := []*pgconn.FallbackConfig{{Host: cc.Host, Port: cc.Port, TLSConfig: cc.TLSConfig}}
	var unverified []string
	encrypted := true
	for _, s := range slices.Concat(servers, cc.Fallbacks) {
		if isLocal(s.Host) || verifies(s.TLSConfig) {
			continue
		}
		encrypted = encrypted && s.TLSConfig != nil
		if address := net.JoinHostPort(s.Host, strconv.Itoa(int(s.Port))); !slices.Contains(unverified, address) {
			unverified = append(unverified, address)
		}
	}
	if len(unverified) > 0 {
		log.Warn("the pool does not check the certificate of the server: a machine between the pool and the server can read and change all traffic, the password included. "+
			"Set DB_SSLMODE to verify-full, and DB_SSLROOTCERT to the authority's certificate",
			zap.String("setting", setting), zap.Strings("servers", unverified), zap.Bool("always_encrypted", encrypted))
	}
}

// isLocal reports whether the traffic to a host stays on the machine: a Unix socket, in a folder
// or abstract, or a loopback address.
func isLocal(host string) bool {
	if network, _ := pgconn.NetworkAddress(host, 0); network == "unix" || strings.HasPrefix(host, "@") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.Unmap().IsLoopback()
}

// verifies reports whether a connection checks the server's certificate. For verify-ca pgx skips
// the standard check, which compares the name, and brings a check without the name.
func verifies(c *tls.Config) bool {
	return c != nil && (!c.InsecureSkipVerify || c.VerifyPeerCertificate != nil || c.VerifyConnection != nil)
}
