package migrate

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/pressly/goose/v3"
)

// Source is a set of migrations with a version table of its own.
type Source struct {
	Name  string
	FS    fs.FS
	After []string // sources that Up applies before this source
	Pool  string   // of the source, by the name of fxdb.ModuleNamed
}

// SourceOption changes a Source. Every fxdb.MigrationOption is a SourceOption.
type SourceOption interface{ Apply(*Source) }

// NewSource returns a Source with options of the type fxdb.MigrationOption. The type is a
// parameter, because migrate can't import fxdb and the public type hides Apply.
func NewSource[O any](name string, fsys fs.FS, opts []O) Source {
	s := Source{Name: name, FS: fsys}
	for _, opt := range opts {
		any(opt).(SourceOption).Apply(&s)
	}
	return s
}

// Group is the fx value group of Sources.
const Group = `group:"onepool.migrations"`

// VersionTable returns the qualified name of the source's version table.
func (s Source) VersionTable() string { return Schema + "." + s.Name + "_versions" }

var validName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,49}$`)

// Check returns the sources in the order of application: each source after the sources in After,
// and otherwise by name. The error names the invalid source.
func Check(sources []Source) ([]Source, error) {
	sorted := slices.Clone(sources)
	slices.SortFunc(sorted, func(a, b Source) int { return strings.Compare(a.Name, b.Name) })
	for i, s := range sorted {
		if !validName.MatchString(s.Name) {
			return nil, fmt.Errorf("migrations %q: a source's name is lower-case letters, digits and underscores, "+
				"at most 50, starting with a letter", s.Name)
		}
		if i > 0 && sorted[i-1].Name == s.Name {
			return nil, fmt.Errorf("migrations %q: two sources have this name", s.Name)
		}
		root, err := sqlRoot(s.FS)
		if err == nil {
			err = checkNames(root)
		}
		if err != nil {
			return nil, fmt.Errorf("migrations %q: %w", s.Name, err)
		}
		sorted[i].FS = root
	}
	return order(sorted)
}

// order puts each source after the sources in After. Among the sources that may come next, the
// first by name comes next: a new After moves no more sources than necessary.
func order(sources []Source) ([]Source, error) {
	known := func(name string) bool {
		return slices.ContainsFunc(sources, func(s Source) bool { return s.Name == name })
	}
	for _, s := range sources {
		for _, name := range s.After {
			if !known(name) {
				return nil, fmt.Errorf("migrations %q: no order: %q comes after %q, and no source is named %q: the sources are %s",
					s.Name, s.Name, name, name, names(sources, ", "))
			}
		}
	}
	ordered := make([]Source, 0, len(sources))
	rest := slices.Clone(sources)
	waits := func(s Source) int { // index in rest of a source that must come before s
		return slices.IndexFunc(rest, func(o Source) bool { return slices.Contains(s.After, o.Name) })
	}
	for len(rest) > 0 {
		next := slices.IndexFunc(rest, func(s Source) bool { return waits(s) < 0 })
		if next < 0 {
			var circle []Source
			for s := rest[0]; ; s = rest[waits(s)] {
				seen := slices.IndexFunc(circle, func(o Source) bool { return o.Name == s.Name })
				circle = append(circle, s)
				if seen >= 0 {
					return nil, fmt.Errorf("migrations %q: no order: %s", s.Name, names(circle[seen:], " comes after "))
				}
			}
		}
		ordered = append(ordered, rest[next])
		rest = slices.Delete(rest, next, next+1)
	}
	return ordered, nil
}

func names(sources []Source, separator string) string {
	all := make([]string, len(sources))
	for i, s := range sources {
		all[i] = s.Name
	}
	return strings.Join(all, separator)
}

// sqlRoot finds the folder with the SQL files. An embed.FS usually has the files a level down,
// in the embedded folder. Two folders with SQL files are an error: sqlRoot would silently leave
// out a folder.
func sqlRoot(fsys fs.FS) (fs.FS, error) {
	if fsys == nil {
		return nil, errors.New("the file system is nil")
	}
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, err
	}
	if files, err := fs.Glob(fsys, "*.sql"); err != nil || len(files) > 0 {
		return fsys, err
	}
	var found []string
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		files, err := fs.Glob(fsys, e.Name()+"/*.sql")
		if err != nil {
			return nil, err
		}
		if len(files) > 0 {
			found = append(found, e.Name())
		}
	}
	switch len(found) {
	case 0:
		return nil, errors.New("the file system has no *.sql file at its root or one folder below")
	case 1:
		return fs.Sub(fsys, found[0])
	}
	return nil, fmt.Errorf("*.sql files are in several folders (%s): name one with fs.Sub", strings.Join(found, ", "))
}

// checkNames refuses *.sql files whose names goose does not know, and *.sql files in folders
// below: goose would silently leave out the files, and the database would lack the objects.
// Editors and file systems make names with a leading dot.
func checkNames(fsys fs.FS) error {
	var strange []string
	err := fs.WalkDir(fsys, ".", func(file string, e fs.DirEntry, err error) error {
		switch hidden := file != "." && strings.HasPrefix(e.Name(), "."); {
		case err != nil:
			return err
		case e.IsDir() && hidden:
			return fs.SkipDir
		case e.IsDir() || hidden || !strings.EqualFold(path.Ext(file), ".sql"):
			return nil
		}
		if _, err := goose.NumericComponent(file); err != nil || path.Dir(file) != "." {
			strange = append(strange, file)
		}
		return nil
	})
	if err != nil || len(strange) == 0 {
		return err
	}
	return fmt.Errorf("%s would never be applied: name migrations like 00001_name.sql, "+
		"and keep all other *.sql files outside", strings.Join(strange, ", "))
}
