package pgfault

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// Authority signs certificates for a test.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	dir  string
	// RootCert is the file with the authority's own certificate.
	RootCert string
}

// NewAuthority makes an authority whose files go when the test ends.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{dir: t.TempDir()}
	a.cert, a.key = a.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "authority of a test"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	a.RootCert = filepath.Join(a.dir, "root.pem")
	must(t, os.WriteFile(a.RootCert, encode("CERTIFICATE", a.cert.Raw), 0o600))
	return a
}

// sign signs a certificate for a new key. The first certificate is the authority's own.
func (a *Authority) sign(t testing.TB, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	must(t, err)
	cert, err := x509.ParseCertificate(raw)
	must(t, err)
	return cert, key
}

// Client returns the files of a certificate, and of its key, for a role.
func (a *Authority) Client(t testing.TB, role string) (cert, key string) {
	t.Helper()
	c, k := a.sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: role}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	cert, key = filepath.Join(a.dir, role+".pem"), filepath.Join(a.dir, role+".key")
	must(t, os.WriteFile(cert, encode("CERTIFICATE", c.Raw), 0o600))
	must(t, os.WriteFile(key, encodeKey(t, k), 0o600))
	return cert, key
}

func encode(kind string, raw []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw})
}

func encodeKey(t testing.TB, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	return encode("PRIVATE KEY", raw)
}

// RestartWithTLS restarts the server with TLS on a port of 127.0.0.1, the only name in the
// server's certificate. Over the port a role logs in with a certificate of the authority.
func (r *Restartable) RestartWithTLS(t testing.TB, a *Authority) (port int) {
	t.Helper()
	c, k := a.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "server"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	for name, content := range map[string][]byte{
		"tls.pem": encode("CERTIFICATE", c.Raw), "tls.key": encodeKey(t, k), "tls_root.pem": encode("CERTIFICATE", a.cert.Raw),
		"tls_hba.conf": []byte("local all all trust\nhostssl all all 127.0.0.1/32 cert\n"), //nolint:dupword // each word is a column,
	} {
		file := filepath.Join(r.data(), name)
		must(t, os.WriteFile(file, content, 0o600))
		if r.owner != nil {
			must(t, os.Chown(file, int(r.owner.Credential.Uid), int(r.owner.Credential.Gid)))
		}
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	port = free.Addr().(*net.TCPAddr).Port
	must(t, free.Close())
	// The last of equal settings counts. The socket's name has the port, too.
	r.options += " -c listen_addresses=127.0.0.1 -c ssl=on -c ssl_cert_file=tls.pem -c ssl_key_file=tls.key -c ssl_ca_file=tls_root.pem" +
		" -c hba_file=" + filepath.Join(r.data(), "tls_hba.conf") + " -c port=" + strconv.Itoa(port)
	r.Restart(t, "fast", 0)
	return port
}
