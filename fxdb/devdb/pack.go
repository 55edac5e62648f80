//go:build linux || darwin

package devdb

import (
	"archive/tar"
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// castagnoli is the CRC polynomial with an instruction in processors.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// pack writes the folder dir into a tar file, followed by a checksum of four bytes. tar has no
// checksum of the contents, and a killed process or a full disk must not lead to servers with
// broken data. pack writes a single file: a thousand small files take far longer to read from a
// disk.
func pack(dir, file string) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(file), tempTemplates)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	buf := bufio.NewWriterSize(tmp, 1<<20)
	sum := crc32.New(castagnoli)
	w := tar.NewWriter(io.MultiWriter(buf, sum))
	if err = errors.Join(addTree(w, dir), w.Close()); err == nil {
		err = binary.Write(buf, binary.BigEndian, sum.Sum32())
	}
	if err = errors.Join(err, buf.Flush(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), file)
}

func addTree(w *tar.Writer, dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		h := &tar.Header{Name: filepath.ToSlash(name), Mode: int64(fi.Mode().Perm())}
		switch {
		case fi.IsDir():
			h.Typeflag = tar.TypeDir
			return w.WriteHeader(h)
		case !fi.Mode().IsRegular():
			return fmt.Errorf("%s is neither a file nor a folder", path)
		}
		h.Typeflag, h.Size = tar.TypeReg, fi.Size()
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		_, err = io.Copy(w, f)
		return errors.Join(err, f.Close())
	})
}
