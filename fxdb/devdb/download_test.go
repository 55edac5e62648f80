//go:build linux || darwin

package devdb

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
)

// packed makes an npm package of files.
func packed(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	zipped := gzip.NewWriter(&b)
	w := tar.NewWriter(zipped)
	for name, text := range files {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(text))}))
		_, err := w.Write([]byte(text))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.NoError(t, zipped.Close())
	return b.Bytes()
}

// installed is a package whose programs are those of the machine's server.
func installed(t *testing.T) map[string]string {
	t.Helper()
	bindir, _, err := find(t.Context(), defaultSources())
	require.NoError(t, err)
	run := func(program string) string {
		return "#!/bin/sh\nexec " + filepath.Join(bindir, program) + " \"$@\"\n"
	}
	return map[string]string{
		"package/native/bin/initdb":        run("initdb"),
		"package/native/bin/postgres":      run("postgres"),
		"package/native/lib/libx.so.1":     "x",
		"package/native/pg-symlinks.json":  `[{"source":"native/lib/libx.so.1","target":"native/lib/libx.so"}]`,
		"package/package.json":             "{}",
		"package/scripts/postinstall.js":   "not unpacked",
		"package/../../native/bin/outside": "not unpacked",
	}
}

// registry serves a package over loopback, and counts the requests.
func registry(t *testing.T, answer http.HandlerFunc, integrity string) (downloads, *atomic.Int64) {
	t.Helper()
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		answer(w, r)
	}))
	t.Cleanup(func() {
		server.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	cache, err := os.MkdirTemp("", "odl") //nolint:usetesting // the server's account must be able to enter
	require.NoError(t, err)
	require.NoError(t, os.Chmod(cache, 0o755))
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(cache)) })
	return downloads{registry: server.URL + "/", cache: cache, packages: map[string]pinned{
		runtime.GOOS + "/" + runtime.GOARCH: {"test-x64", integrity},
	}}, &requests
}

func serving(body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/@embedded-postgres/test-x64/-/test-x64-"+downloadVersion+".tgz" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(body)
	}
}

func integrityOf(body []byte) string {
	sum := sha512.Sum512(body)
	return base64.StdEncoding.EncodeToString(sum[:])
}

func onlyFrom(d downloads) Option {
	return func(c *config) { c.sources = []source{d.fromDownload} }
}

func TestADownloadedServerStartsAndIsDownloadedOnce(t *testing.T) {
	size.SkipShort(t)
	body := packed(t, installed(t))
	d, requests := registry(t, serving(body), integrityOf(body))
	base := newBase(t)
	for range 2 {
		s := start(t, inDirs(base, testCache), onlyFrom(d))
		require.Contains(t, s.String(), "downloaded")
		mustFacts(t, s)
		require.NoError(t, s.Stop(t.Context()))
	}
	require.EqualValues(t, 1, requests.Load())
	dir := filepath.Join(d.cache, "test-x64-"+downloadVersion)
	link, err := os.Readlink(filepath.Join(dir, "lib", "libx.so"))
	require.NoError(t, err)
	require.Equal(t, "libx.so.1", link)
	left, err := os.ReadDir(d.cache)
	require.NoError(t, err)
	require.Len(t, left, 2, "the package and its lock")
}

func TestADownloadThatIsNotThePinnedPackageIsNotRun(t *testing.T) {
	good := packed(t, installed(t))
	outside := installed(t)
	outside["package/native/pg-symlinks.json"] = `[{"source":"native/bin/initdb","target":"../../bin/initdb"}]`
	leading := packed(t, outside)
	for name, c := range map[string]struct {
		answer    http.HandlerFunc
		integrity string
		want      string
	}{
		"another checksum": {serving(good), integrityOf([]byte("other")), "is not the pinned package"},
		"no such package":  {http.NotFound, integrityOf(good), "404 Not Found"},
		"cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000000")
			_, _ = w.Write(good[:100])
		}, integrityOf(good), "unexpected EOF"},
		"no archive":           {serving([]byte("hello")), integrityOf([]byte("hello")), "unpack"},
		"a link leads outside": {serving(leading), integrityOf(leading), "leads out of the package"},
	} {
		t.Run(name, func(t *testing.T) {
			d, _ := registry(t, c.answer, c.integrity)
			_, err := Start(t.Context(), inDirs(newBase(t), testCache), onlyFrom(d))
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, envRegistry)
			left, err := os.ReadDir(d.cache)
			require.NoError(t, err)
			require.Len(t, left, 1, "the lock alone")
			t.Log(err)
		})
	}
}

// The download is opt-in, and the list of what was tried names the setting.
func TestNothingIsDownloadedUnasked(t *testing.T) {
	for _, c := range []struct {
		env      string
		opts     []Option
		download bool
	}{
		{"", nil, false},
		{"0", nil, false},
		{"1", nil, true},
		{"", []Option{Download(true)}, true},
		{"1", []Option{Download(false)}, false},
	} {
		t.Setenv(envDownload, c.env)
		cfg := newConfig(c.opts)
		require.Equal(t, c.download, cfg.download)
	}
	t.Setenv(envDownload, "")
	t.Setenv(envBindir, "")
	_, err := Start(t.Context(), func(c *config) { c.sources = []source{fromEnv} })
	var notFound *NotFoundError
	require.ErrorAs(t, err, &notFound)
	require.ErrorContains(t, err, "ONEPOOL_PG_DOWNLOAD: not set to 1")
	require.ErrorContains(t, err, "set ONEPOOL_PG_DOWNLOAD=1")
}

func TestTheRegistryIsASetting(t *testing.T) {
	t.Setenv(envRegistry, "")
	require.Equal(t, "https://registry.npmjs.org", defaultDownloads().registry)
	t.Setenv(envRegistry, "https://user:secret@mirror.invalid/npm")
	d := defaultDownloads()
	d.cache = t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := d.fromDownload(ctx)
	require.Error(t, err)
	require.NotContains(t, err.Error(), "secret")
}
