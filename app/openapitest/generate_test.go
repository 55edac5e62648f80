package openapitest

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// generator makes values for schemas. It remembers the ids and the like that were sent and
// answered, so that a request may be about what is there.
type generator struct {
	*rand.Rand
	known  map[string][]string // by tenant, collection and field
	tenant string              // of the request that is being made
	about  string              // the collection of its path's id
}

func newGenerator(seed uint64) *generator {
	return &generator{Rand: rand.New(rand.NewPCG(seed, 0)), known: map[string][]string{}}
}

func pick[T any](g *generator, from []T) T { return from[g.IntN(len(from))] }

// chance is true so many times in a hundred.
func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

// value makes a value that a schema allows.
func (g *generator) value(name string, s *openapi3.Schema) any {
	if len(s.OneOf) > 0 {
		return g.value(name, pick(g, s.OneOf).Value)
	}
	if len(s.Enum) > 0 {
		return pick(g, s.Enum)
	}
	if s.Type == nil || len(s.Type.Slice()) == 0 {
		return g.anything(2)
	}
	switch pick(g, s.Type.Slice()) {
	case "null":
		return nil
	case "boolean":
		return g.chance(50)
	case "integer":
		return g.integer(s)
	case "number":
		return g.number(s)
	case "array":
		return g.array(name, s)
	case "object":
		return g.object(s)
	}
	return g.text(name, s)
}

func (g *generator) integer(s *openapi3.Schema) int64 {
	least, most := int64(-1000), int64(1_000_000_000_000)
	if s.Min != nil {
		least = int64(*s.Min)
	}
	if s.Max != nil && *s.Max < 1e15 { // a double holds no exact bound above
		most = int64(*s.Max)
	}
	switch g.IntN(4) {
	case 0:
		return least
	case 1:
		return most
	case 2:
		return min(most, least+g.Int64N(20))
	}
	return least + g.Int64N(most-least+1)
}

func (g *generator) number(s *openapi3.Schema) float64 {
	least, most := -1000.0, 1000.0
	if s.Min != nil {
		least = *s.Min
	}
	if s.Max != nil {
		most = *s.Max
	}
	return pick(g, []float64{least, most, least + g.Float64()*(most-least)})
}

func (g *generator) array(name string, s *openapi3.Schema) []any {
	n := g.IntN(3)
	if s.MinItems > 0 {
		n = int(s.MinItems)
	}
	list := make([]any, n)
	for i := range list {
		list[i] = g.value(name, s.Items.Value)
	}
	return list
}

func (g *generator) object(s *openapi3.Schema) map[string]any {
	o := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) { // in one order, for the seed
		if slices.Contains(s.Required, name) || g.chance(50) {
			o[name] = g.value(name, s.Properties[name].Value)
		}
	}
	if len(s.Properties) == 0 {
		for range g.IntN(3) {
			o[g.word()] = g.anything(1)
			if s.AdditionalProperties.Schema != nil {
				o[g.word()] = g.value("", s.AdditionalProperties.Schema.Value)
			}
		}
		if s.AdditionalProperties.Schema != nil {
			clear(o)
			o[g.word()] = g.value("", s.AdditionalProperties.Schema.Value)
		}
	}
	return o
}

// anything is JSON of some depth.
func (g *generator) anything(depth int) any {
	all := []any{nil, true, g.IntN(100), g.Float64(), g.word(), 1e300, ""}
	if depth > 0 {
		all = append(all, []any{g.anything(depth - 1)}, map[string]any{g.word(): g.anything(depth - 1)})
	}
	return pick(g, all)
}

var words = []string{
	"a", "general", "Grüße", "日本語", "x y", "O'Brien", `"quoted"`, "..", "%", "\\", "😀", "-", "null", "1", "drop table agents",
	"\u202e", "line\nbreak", "tab\t", "<b>", "stats", "a/b", "é", "é",
}

func (g *generator) word() string { return pick(g, words) }

func (g *generator) text(name string, s *openapi3.Schema) string {
	if s.Format == "date-time" {
		return pick(g, []string{"2026-11-01T12:00:00Z", "1999-12-31T23:59:59.999999999+14:00", "0001-01-01T00:00:00Z", "2026-02-28T00:00:00-12:00"})
	}
	if known := g.candidates(name); len(known) > 0 && g.chance(80) {
		if text := pick(g, known); fits(s, text) {
			return text
		}
	}
	if s.Format == "uuid" {
		return fmt.Sprintf("%08x-0000-4000-8000-%012x", g.Uint32(), g.Uint32())
	}
	if strings.Contains(s.Pattern, "{64}") {
		return strings.Repeat(pick(g, []string{"a", "0", "F"}), 64)
	}
	if strings.HasSuffix(name, "url") {
		return "https://example.com/" + pick(g, []string{"", "a", "b?q=1", "c#d"})
	}
	text := g.word()
	if s.MaxLength != nil && *s.MaxLength < 5000 && g.chance(10) {
		text = strings.Repeat("x", int(*s.MaxLength))
	}
	if fits(s, text) {
		return text
	}
	return strings.Repeat("x", int(s.MinLength))
}

func fits(s *openapi3.Schema, text string) bool {
	n := uint64(len([]rune(text)))
	return n >= s.MinLength && (s.MaxLength == nil || n <= *s.MaxLength)
}

// candidates are what the tenant has for a field, as far as it is known.
func (g *generator) candidates(name string) []string {
	collection, isID := strings.CutSuffix(name, "_id")
	switch {
	case name == "id":
		return g.known[g.tenant+" "+g.about+" id"]
	case name == "session":
		return g.known[g.tenant+" session_id"]
	case name == "parent_id":
		collection = "nodes"
	case name == "query_id":
		collection = "queries"
	case isID:
		collection += "s"
	}
	if ids := g.known[g.tenant+" "+collection+" id"]; isID && len(ids) > 0 {
		return ids
	}
	return g.known[g.tenant+" "+name]
}

// learn remembers the texts of what was sent or answered by their fields' names.
func (g *generator) learn(tenant, collection string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if text, ok := v[name].(string); ok {
				key := tenant + " " + name
				if name == "id" {
					key = tenant + " " + collection + " id"
				}
				g.remember(key, text)
			}
			g.learn(tenant, collection, v[name])
		}
	case []any:
		for _, item := range v {
			g.learn(tenant, collection, item)
		}
	}
}

// remember keeps the newest texts.
func (g *generator) remember(key, text string) {
	const most = 30
	if text != "" && !slices.Contains(g.known[key], text) {
		g.known[key] = append(g.known[key], text)
		g.known[key] = g.known[key][max(0, len(g.known[key])-most):]
	}
}

// collectionBefore is what the parameter of a path is about.
func collectionBefore(path, parameter string) string {
	before, _, _ := strings.Cut(path, "/{"+parameter+"}")
	return before[strings.LastIndex(before, "/")+1:]
}

// collectionOf is what the answer of a path is about.
func collectionOf(path string) (last string) {
	for segment := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if !strings.HasPrefix(segment, "{") {
			last = segment
		}
	}
	if last == "entities" {
		return "entries"
	}
	return last
}

// spoil breaks a body in one place, and returns the bytes to send.
func (g *generator) spoil(body any) []byte {
	raw, _ := json.Marshal(body)
	switch g.IntN(8) {
	case 0:
		return nil
	case 1:
		return raw[:g.IntN(len(raw)+1)]
	case 2:
		return append(raw, raw...)
	case 3:
		return []byte(strings.Replace(string(raw), `"`, "\"\xff", 1))
	case 4:
		if o, ok := body.(map[string]any); ok && len(o) > 0 { // the first field twice
			name := slices.Sorted(maps.Keys(o))[0]
			field, _ := json.Marshal(map[string]any{name: o[name]})
			return []byte(strings.TrimSuffix(string(field), "}") + "," + strings.TrimPrefix(string(raw), "{"))
		}
	}
	broken := g.replace(body)
	raw, _ = json.Marshal(broken)
	return raw
}

// extremes take the place of one value.
var extremes = []any{
	nil, true, -1, 0, 1.5, 1e300, int64(1) << 62, -(int64(1) << 62), "", "\x00", "\ufffd", strings.Repeat("y", 3000), []any{}, map[string]any{},
	[]any{nil}, map[string]any{"surplus": 1}, "9999-12-31T23:59:59-12:00", "0000-01-01T00:00:00+12:00", json.RawMessage("1e400"), json.RawMessage(`"\ud800"`),
}

// replace puts an extreme somewhere into a value.
func (g *generator) replace(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 || g.chance(10) {
			return pick(g, extremes)
		}
		name := pick(g, slices.Sorted(maps.Keys(v)))
		o := maps.Clone(v)
		switch g.IntN(5) {
		case 0:
			delete(o, name)
		case 1:
			o[strings.ToUpper(name)] = o[name]
		default:
			o[name] = g.replace(v[name])
		}
		return o
	case []any:
		if len(v) == 0 || len(v) > 100 || g.chance(20) {
			return pick(g, extremes)
		}
		list := slices.Clone(v)
		i := g.IntN(len(list))
		list[i] = g.replace(list[i])
		return list
	}
	return pick(g, extremes)
}
