package onepoolcheck

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// configFile lies in the folder of the package or in a folder above, up to the root of the
// repository.
const configFile = ".onepoolcheck.yml"

// config is the content of the configuration file.
type config struct {
	// Tests has the rules check _test.go files too.
	Tests   bool `yaml:"tests"`
	NewPool struct {
		Allow []allowance `yaml:"allow"`
	} `yaml:"newpool"`

	root string // the folder that the paths begin in
}

// allowance names files that may open connections.
type allowance struct {
	Path   string `yaml:"path"` // a file, a folder that ends with "/", or a pattern of path.Match
	Reason string `yaml:"reason"`
}

// findConfig reads the nearest file above the folder. No file at all is an empty
// configuration.
func findConfig(folder string) (*config, error) {
	for at := folder; ; at = filepath.Dir(at) {
		c, err := readConfig(filepath.Join(at, configFile))
		if !errors.Is(err, fs.ErrNotExist) {
			return c, err
		}
		if _, err := os.Stat(filepath.Join(at, ".git")); err == nil || at == filepath.Dir(at) {
			return &config{}, nil
		}
	}
}

func readConfig(name string) (*config, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("onepoolcheck: read the configuration: %w", err)
	}
	defer f.Close() //nolint:errcheck // nothing was written
	root, err := filepath.Abs(filepath.Dir(name))
	if err != nil {
		return nil, fmt.Errorf("onepoolcheck: %s: %w", name, err)
	}
	c := &config{root: root}
	decoder := yaml.NewDecoder(f)
	decoder.KnownFields(true)
	if err := decoder.Decode(c); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("onepoolcheck: %s: %w", name, err)
	}
	for _, a := range c.NewPool.Allow {
		if a.Path == "" || strings.TrimSpace(a.Reason) == "" {
			return nil, fmt.Errorf("onepoolcheck: %s: newpool: each entry of allow needs a path and a reason", name)
		}
		if _, err := path.Match(a.Path, ""); err != nil {
			return nil, fmt.Errorf("onepoolcheck: %s: newpool: path %q: %w", name, a.Path, err)
		}
	}
	return c, nil
}

// allows reports whether the file may open connections.
func (c *config) allows(file string) bool {
	rel, err := filepath.Rel(c.root, file)
	if err != nil || c.root == "" {
		return false
	}
	rel = filepath.ToSlash(rel)
	for _, a := range c.NewPool.Allow {
		if strings.HasSuffix(a.Path, "/") && strings.HasPrefix(rel, a.Path) {
			return true
		}
		if ok, _ := path.Match(a.Path, rel); ok {
			return true
		}
	}
	return false
}
