package main

import (
	"embed"
	"fmt"
	"hash/fnv"
	"math"
	"path"
	"strings"
	"unicode"

	"github.com/agentagency/onepool/modules/knowledge"
)

//go:embed documents/*.txt
var documents embed.FS

// document is a text of the demo, and a question with an answer in the text.
type document struct {
	name, title, question, body string
}

func (d document) url() string { return "https://library.example/" + d.name }

// library returns all documents, in the order of the files' names. A file is a title, a
// question, an empty line, and the body.
func library() ([]document, error) {
	files, err := documents.ReadDir("documents")
	if err != nil {
		return nil, fmt.Errorf("read the library: %w", err)
	}
	var all []document
	for _, f := range files {
		raw, err := documents.ReadFile(path.Join("documents", f.Name()))
		if err != nil {
			return nil, fmt.Errorf("read the library: %w", err)
		}
		head, body, _ := strings.Cut(string(raw), "\n\n")
		title, question, _ := strings.Cut(head, "\n")
		all = append(all, document{strings.TrimSuffix(f.Name(), ".txt"), title, question, body})
	}
	return all, nil
}

// words returns the words of a text with at least 4 bytes: shorter words carry no meaning.
func words(text string) []string {
	var out []string
	for w := range strings.FieldsFuncSeq(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && r != '-' }) {
		if len(w) > 3 {
			out = append(out, w)
		}
	}
	return out
}

// embedText returns a text as a direction: each word adds to a dimension. embedText asks no
// model, so the result is the same everywhere. Texts with common words point the same way.
func embedText(text string) []float32 {
	v := make([]float32, knowledge.Dimensions)
	for _, w := range words(text) {
		h := fnv.New32a()
		_, _ = h.Write([]byte(w)) // Write never fails
		v[h.Sum32()%knowledge.Dimensions]++
	}
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if sum > 0 {
		for i := range v {
			v[i] = float32(float64(v[i]) / math.Sqrt(sum))
		}
	}
	return v
}

// coverage is the share of the question's words that occur in the text.
func coverage(question, text string) float64 {
	asked, has := words(question), map[string]bool{}
	for _, w := range words(text) {
		has[w] = true
	}
	found := 0
	for _, w := range asked {
		if has[w] {
			found++
		}
	}
	return float64(found) / float64(max(1, len(asked)))
}
