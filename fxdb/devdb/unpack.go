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
	"sync"
)

// unpackers is how many files are written at the same time. Most of the work is the creation of
// files: even two processors gain from more than two unpackers.
const unpackers = 4

// unpack makes the folder dir from a file of pack, and gives the folder to the account. unpack
// knows at the end only whether the checksum is right: after an error the caller has to remove
// dir.
func unpack(file, dir string, acct account) (err error) {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if err := errors.Join(os.Mkdir(dir, 0o700), acct.own(dir)); err != nil {
		return err
	}
	// A root, as names in a damaged archive must not lead out of the folder.
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()

	body, sum := fi.Size()-crc32.Size, crc32.New(castagnoli)
	buf := bufio.NewReaderSize(f, 1<<20)
	r := io.TeeReader(io.LimitReader(buf, body), sum)
	if err := extract(tar.NewReader(r), body, root, acct); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	var want uint32
	if err := binary.Read(buf, binary.BigEndian, &want); err != nil || want != sum.Sum32() {
		return errors.Join(fmt.Errorf("%s is damaged", file), err)
	}
	return nil
}

// An entry is a file to be written, with the contents.
type entry struct {
	name string
	mode fs.FileMode
	data []byte
}

// extract reads the archive, makes the folders in the archive's order, and has the files
// written in parallel. In a sound archive no file is longer than limit.
func extract(r *tar.Reader, limit int64, root *os.Root, acct account) error {
	entries, spare := make(chan entry), make(chan []byte, unpackers+1)
	for range cap(spare) {
		spare <- nil // grows to the size of the largest file
	}
	errs := make([]error, unpackers)
	var writers sync.WaitGroup
	for i := range errs {
		writers.Go(func() {
			for e := range entries {
				errs[i] = errors.Join(errs[i], e.write(root, acct))
				spare <- e.data
			}
		})
	}
	err := eachEntry(r, limit, func(e entry) error {
		if e.mode.IsDir() {
			return errors.Join(root.Mkdir(e.name, e.mode.Perm()), acct.ownIn(root, e.name))
		}
		entries <- e
		return nil
	}, spare)
	close(entries)
	writers.Wait()
	return errors.Join(append(errs, err)...)
}

// eachEntry calls do for each folder and file. eachEntry takes the buffer of a file's contents
// from spare, and do has to return the buffer to spare.
func eachEntry(r *tar.Reader, limit int64, do func(entry) error, spare <-chan []byte) error {
	for {
		h, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		e := entry{name: h.Name, mode: h.FileInfo().Mode()}
		switch {
		case h.Size > limit:
			return fmt.Errorf("%s is longer than the archive", h.Name)
		case e.mode.IsRegular():
			e.data = <-spare
			if int64(cap(e.data)) < h.Size {
				e.data = make([]byte, h.Size)
			}
			e.data = e.data[:h.Size]
			if _, err := io.ReadFull(r, e.data); err != nil {
				return err
			}
		}
		if err := do(e); err != nil {
			return err
		}
	}
}

func (e entry) write(root *os.Root, acct account) error {
	f, err := root.OpenFile(e.name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, e.mode)
	if err != nil {
		return err
	}
	_, err = f.Write(e.data)
	if err == nil && acct.credential != nil {
		err = f.Chown(acct.uid, acct.gid)
	}
	return errors.Join(err, f.Close())
}

// ownIn gives the account a folder in root that the user root has made.
func (a account) ownIn(root *os.Root, name string) error {
	if a.credential == nil {
		return nil
	}
	return root.Lchown(name, a.uid, a.gid)
}
