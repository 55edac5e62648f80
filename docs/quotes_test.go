package docs

import (
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// gofmt turns two single quotes in a doc comment into a curly quote, and breaks SQL in the
// comment: SQL stands in an indented block.
func TestNoCommentHasACurlyQuote(t *testing.T) {
	t.Parallel()
	files := 0
	require.NoError(t, filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" {
			return err
		}
		files++
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var s scanner.Scanner
		file := token.NewFileSet().AddFile(path, -1, len(src))
		s.Init(file, src, nil, scanner.ScanComments)
		for {
			pos, tok, text := s.Scan()
			if tok == token.EOF {
				return nil
			}
			if tok == token.COMMENT && strings.ContainsAny(text, "\u2018\u2019\u201c\u201d") {
				t.Errorf("%s: a comment has a curly quote: put SQL into an indented block", file.Position(pos))
			}
		}
	}))
	require.Positive(t, files)
}
