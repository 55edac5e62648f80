package check

import (
	"fmt"
	"reflect"
	"strings"
	"time"
)

// The ranges of times and durations. JSON has no year beyond 9999, in any zone; a mean and a
// difference of durations are durations too.
const (
	// MaxDuration is the longest duration that a client takes: 100 years.
	MaxDuration = 876_000 * time.Hour
	// MaxCount is the largest count that a client takes: sums of counts don't overflow.
	MaxCount = 1_000_000_000_000_000
	// MaxAhead is the largest lead of a past event's time over the program's clock: clocks
	// differ.
	MaxAhead = 5 * time.Minute
)

var (
	timeType     = reflect.TypeFor[time.Time]()
	durationType = reflect.TypeFor[time.Duration]()
	latest       = time.Date(9999, time.December, 31, 0, 0, 0, 0, time.UTC)
)

// Time checks a time that becomes JSON. The zero time stands for the default.
func Time(field string, t time.Time) error {
	return That(field, "must be in the years 1 to 9999, and before the last day of 9999", t.IsZero() || t.UTC().Year() >= 1 && t.Before(latest))
}

// Duration checks a duration of either sign.
func Duration(field string, d time.Duration) error {
	return That(field, "must be at most 876000 h, which are 100 years", d >= -MaxDuration && d <= MaxDuration)
}

// Timeout checks a duration that the server keeps in milliseconds. 0 stands for the
// default.
func Timeout(field string, d time.Duration) error {
	return First(
		That(field, "must be whole milliseconds from 1 ms", d >= 0 && d%time.Millisecond == 0),
		Duration(field, d),
	)
}

// Milliseconds checks a number of milliseconds from 0.
func Milliseconds(field string, ms float64) error {
	const most = float64(MaxDuration / time.Millisecond)
	return That(field, fmt.Sprintf("must be from 0 to %.0f", most), ms >= 0 && ms <= most)
}

// Past checks times of past events.
func Past(field string, times ...time.Time) error {
	for _, t := range times {
		if t.After(time.Now().Add(MaxAhead)) {
			return Invalid(field, fmt.Sprintf("must not be more than %s ahead of the clock", MaxAhead))
		}
	}
	return nil
}

// Count checks a whole number from 0 that the program adds up.
func Count(field string, n int64) error {
	return That(field, fmt.Sprintf("must be from 0 to %d", int64(MaxCount)), n >= 0 && n <= MaxCount)
}

// Ranges applies [Time] and [Duration] to every time and duration in a struct or
// in a list of structs. The error names the field like JSON.
func Ranges(v any) error { return checkRanges("", reflect.ValueOf(v)) }

func checkRanges(path string, v reflect.Value) error {
	switch v.Type() {
	case timeType:
		return Time(path, v.Interface().(time.Time))
	case durationType:
		return Duration(path, time.Duration(v.Int()))
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return checkRanges(path, v.Elem())
		}
	case reflect.Slice:
		if k := v.Type().Elem().Kind(); k != reflect.Struct && k != reflect.Pointer {
			return nil
		}
		for i := range v.Len() {
			if err := checkRanges(fmt.Sprintf("%s[%d]", path, i), v.Index(i)); err != nil {
				return err
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if err := checkRanges(fieldPath(path, v.Type().Field(i)), v.Field(i)); err != nil {
				return err
			}
		}
	}
	return nil
}

// fieldPath returns the name of a field in JSON, behind the path of the struct.
func fieldPath(path string, f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	switch {
	case f.Anonymous && name == "":
		return path
	case name == "" || name == "-":
		name = f.Name
	}
	if path == "" {
		return name
	}
	return path + "." + name
}
