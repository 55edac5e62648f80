package rls

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/agentagency/onepool/tenant"
)

// probeTenant is a tenant that does not exist. The UUID serves as a text too. The number is
// negative and fits a smallint.
type probeTenant struct {
	uuid   string
	number int
}

func newProbeTenant() probeTenant {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return probeTenant{
		uuid:   fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]),
		number: -1 - int(binary.BigEndian.Uint16(b[:]))%30000,
	}
}

func (p probeTenant) of(kind string) string {
	if kind == BigInt {
		return strconv.Itoa(p.number)
	}
	return p.uuid
}

// others are tenants beside p, as SQL values of the table's column: a tenant that resembles p
// in nothing, tenants that share a part with p, and NULL if the column allows NULL.
func (p probeTenant) others(t *table) []string {
	var values []string
	switch kind := t.kind(); kind {
	case BigInt:
		next := p.number - 1
		if p.number%10 == -9 {
			next = p.number + 1 // the same number of tens
		}
		for _, n := range []int{next, -p.number, p.number - 10, p.number - 100, p.number - 1000, p.number - 1024} {
			values = append(values, strconv.Itoa(n))
		}
	case UUID:
		other := newProbeTenant().uuid
		values = []string{other, p.uuid[:24] + other[24:], other[:24] + p.uuid[24:], p.uuid[:35] + otherDigit(p.uuid[35]), otherDigit(p.uuid[0]) + p.uuid[1:]}
	default:
		other := newProbeTenant().uuid
		values = []string{other, p.uuid + "0", "0" + p.uuid, p.uuid[1:], p.uuid[:35], p.uuid[:8], p.uuid[:8] + other[8:]}
	}
	values = literals(values)
	if !t.NotNull {
		values = append(values, "null")
	}
	return values
}

func otherDigit(digit byte) string {
	if digit == '0' {
		return "1"
	}
	return "0"
}

// confusion is a tenant's name, and names of other tenants that a comparison takes for the
// same after a cast, a trim, a split or a cut.
type confusion struct {
	how    string
	name   string
	others []string
}

// separators are characters at which a comparison may split a name.
const separators = ".:/|@#_-,;+~ "

// cutLengths are common lengths of names. A cut of both names shows at any length.
var cutLengths = []int{8, 10, 12, 16, 20, 24, 30, 32, 36, 40, 48, 50, 60, 62, 63, 64, 80, 100, 120, 128, 150, 200, 250, 254}

// confusions are the names that p asks with. limit is the longest name of the column in
// characters, 0 for any.
func (p probeTenant) confusions(limit int) (out []confusion) {
	word := "t" + p.uuid[:8]
	add := func(how, name string, others ...string) { out = append(out, confusion{how, name, others}) }

	parts := []string{strings.ToUpper(word), " " + word, word + " ", "-" + word, word + "-", "_" + word, word + "_", "0" + word, word + "0"}
	for _, s := range separators {
		parts = append(parts, word+string(s)+"x", "x"+string(s)+word)
	}
	add("trims, splits or folds the names", word, parts...)

	// The same in the other direction: the policy changes the setting alone.
	long := word
	for _, s := range separators {
		long += string(s) + "x"
	}
	var pieces []string
	for i, c := range long {
		if strings.ContainsRune(separators, c) {
			pieces = append(pieces, long[:i], long[i+1:])
		}
	}
	add("splits the setting", long, pieces...)
	add("trims the setting", " "+word+" ", word, word+" ", " "+word)
	add("trims the setting", "-_"+word+"_-", word, word+"_-", "-_"+word)
	mixed := "T" + word + "X"
	add("folds the setting's case", mixed, strings.ToLower(mixed), strings.ToUpper(mixed))

	add("casts the names to UUIDs, or drops punctuation", p.uuid, strings.ToUpper(p.uuid), strings.ReplaceAll(p.uuid, "-", ""))
	add("casts the names to UUIDs", p.uuid, "{"+p.uuid+"}")
	number := strconv.Itoa(100000 - p.number)
	add("casts the names to numbers", number, "0"+number, "+"+number, " "+number)
	add("casts the names to numbers", number, number+".0", number+"e0")
	add("casts the names to floats", "9007199254740993", "9007199254740992")
	add("casts the names to dates", "2020-01-02", "20200102", "2020-1-2")
	add("casts the names to booleans", "true", "t", "yes", "on", "1")
	add("casts the names to addresses", "10.0.0.1", "10.0.0.1/32")
	add("normalizes the names, or drops accents", "\u00e9"+word, "e\u0301"+word, "e"+word, "\u00c9"+word)

	for _, length := range []int{tenant.MaxLength, 63} {
		if limit > 0 {
			length = min(length, limit)
		}
		full := strings.Repeat(word, length/len(word)+1)[:length]
		cut := []string{full[:length-1] + "#", "#" + full[1:]}
		for _, n := range cutLengths {
			if n < length {
				cut = append(cut, full[:n], full[length-n:])
			}
		}
		add("cuts the names", full, cut...)
	}
	return out
}
