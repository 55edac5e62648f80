package check

import (
	"fmt"
	"strconv"
	"strings"
)

// maxWrittenOut is the largest growth in bytes of the numbers of a JSON value when jsonb writes
// the numbers without an exponent.
const maxWrittenOut = 64 << 10

// checkNumbers expects valid JSON.
func checkNumbers(field string, raw []byte) error {
	grown := 0
	for at := 0; at < len(raw); at++ {
		switch c := raw[at]; {
		case c == '"':
			at = stringEnd(raw, at)
		case c == '-' || c >= '0' && c <= '9':
			end := at
			for end < len(raw) && strings.IndexByte("+-.eE0123456789", raw[end]) >= 0 {
				end++
			}
			more, ok := writtenOut(string(raw[at:end]))
			if !ok {
				return Invalid(field, "must have no number beyond the range of a double")
			}
			if grown += more; grown > maxWrittenOut {
				return Invalid(field, fmt.Sprintf("must have no numbers that take %d bytes more without their exponents", maxWrittenOut))
			}
			at = end - 1
		}
	}
	return nil
}

// stringEnd returns the place of the last quote of the string that begins at a place.
func stringEnd(raw []byte, at int) int {
	for at++; raw[at] != '"'; at++ {
		if raw[at] == '\\' {
			at++
		}
	}
	return at
}

// writtenOut returns the growth of a number in bytes, and whether a double can hold the number.
func writtenOut(number string) (more int, ok bool) {
	mantissa, exponent, scientific := strings.Cut(strings.ToLower(number), "e")
	if !scientific && len(number) < 300 {
		return 0, true
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || v == 0 && strings.ContainsAny(mantissa, "123456789") {
		return 0, false
	}
	n, err := strconv.Atoi(exponent)
	if err != nil { // no exponent, or zero with an exponent too large for an int
		return 0, !scientific
	}
	return max(n, -n), v != 0 || max(n, -n) < 400
}
