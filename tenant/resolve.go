package tenant

import (
	"fmt"
	"net/http"
	"strings"
)

// Header returns a resolver for [Middleware] that takes the tenant from the named header. A
// request without the header fails with [ErrNoIdentity]. A request with several headers fails
// with an *[InvalidError], because the client may have sent one of several. A value with a
// comma fails too, because a proxy folds two headers into one with a comma.
func Header(name string) func(*http.Request) (Identity, error) {
	return func(r *http.Request) (Identity, error) {
		v := r.Header.Values(name)
		switch len(v) {
		case 0:
			return Identity{}, &missingError{"set the header " + name}
		case 1:
			if strings.Contains(v[0], ",") {
				return Identity{}, &InvalidError{"tenant", "has a comma in the header " + name + ": a proxy may have folded two headers into one"}
			}
			return Identity{Tenant: v[0]}, nil
		}
		return Identity{}, &InvalidError{"tenant", "is given by more than one " + name + " header"}
	}
}

// Host returns a resolver for [Middleware] that takes the tenant from the request's host: below
// the base domain "shop.example" the tenant of "Acme.shop.example:8443" is "acme". Host reads
// Request.Host and no forwarded header, so a proxy in front must keep the host or check the host.
//
// The tenant is a label of lower-case letters, digits and inner hyphens, at most 63 bytes long.
// Host refuses "_dmarc", "a.b", "xn--...", every name that is not ASCII, and every host that is
// not below the base domain, with an *[InvalidError]. The base domain alone fails with
// [ErrNoIdentity]. A bad base domain fails every request with an error that is no caller's fault.
func Host(baseDomain string) func(*http.Request) (Identity, error) {
	base, ok := foldHost(strings.TrimPrefix(baseDomain, "."))
	for label := range strings.SplitSeq(base, ".") {
		ok = ok && isLabel(label)
	}
	return func(r *http.Request) (Identity, error) {
		if !ok {
			return Identity{}, fmt.Errorf("tenant.Host: the base domain %q is no domain name: give a name such as shop.example", baseDomain)
		}
		host, ok := foldHost(withoutPort(r.Host))
		switch {
		case !ok:
			return Identity{}, &InvalidError{"tenant", "can't be resolved: the host is not a name of ASCII letters, digits and hyphens"}
		case host == base:
			return Identity{}, &missingError{"put the tenant before " + base}
		}
		label, below := strings.CutSuffix(host, "."+base)
		switch {
		case !below:
			return Identity{}, &InvalidError{"tenant", "can't be resolved: the host is not below " + base}
		case strings.Contains(label, "."):
			return Identity{}, &InvalidError{"tenant", "has more than one label before " + base}
		case !isLabel(label):
			return Identity{}, &InvalidError{"tenant", "is not a label of letters, digits and hyphens in between"}
		case len(label) >= 4 && label[2:4] == "--":
			// Punycode: two labels that look alike are different tenants.
			return Identity{}, &InvalidError{"tenant", "is an internationalized label"}
		}
		return Identity{Tenant: label}, nil
	}
}

// withoutPort cuts a port of digits off. Host refuses any other port.
func withoutPort(host string) string {
	name, port, found := strings.Cut(host, ":")
	if !found || strings.Trim(port, "0123456789") != "" {
		return host
	}
	return name
}

// foldHost is the host in lower case, without a trailing dot. ok is false if the host has a
// character that no host name has.
func foldHost(host string) (folded string, ok bool) {
	host = strings.TrimSuffix(host, ".")
	b := []byte(host)
	for i, c := range b {
		switch {
		case 'A' <= c && c <= 'Z':
			b[i] = c + 'a' - 'A'
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '.':
		default:
			return "", false
		}
	}
	return string(b), len(b) > 0
}

// isLabel reports whether a folded label may stand in a host name.
func isLabel(s string) bool {
	return len(s) > 0 && len(s) <= 63 && s[0] != '-' && s[len(s)-1] != '-'
}
