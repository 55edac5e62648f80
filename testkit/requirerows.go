package testkit

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/fxdb"
)

// RequireRows fails the test unless a statement returns the rows want, in the order of want, as
// the tenant of ctx. T is a struct whose fields have the columns' names, as for
// [pgx.RowToStructByName], or a different type for a single column. A failure lists the missing
// rows with "-" and the surplus rows with "+". Times are equal if the times are the same
// moment, in any zone.
func RequireRows[T any](ctx context.Context, t testing.TB, db *fxdb.DB, want []T, sql string, args ...any) {
	t.Helper()
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		t.Fatalf("testkit: RequireRows: %s: %v", sql, err)
	}
	read := pgx.RowTo[T]
	if r := reflect.TypeFor[T](); r.Kind() == reflect.Struct && r != reflect.TypeFor[time.Time]() {
		read = pgx.RowToStructByName[T]
	}
	got, err := pgx.CollectRows(rows, read)
	if err != nil {
		t.Fatalf("testkit: RequireRows: %s: %v", sql, err)
	}
	if diff := diffLines(shownRows(want), shownRows(got)); diff != "" {
		t.Fatalf("testkit: RequireRows: %s (-want +got):\n%s", sql, diff)
	}
}

// RequireCount fails the test unless a table, named with the schema, has n rows for the tenant of
// ctx.
func RequireCount(ctx context.Context, t testing.TB, db *fxdb.DB, n int, table string) {
	t.Helper()
	var got int
	if err := db.QueryRow(ctx, "select count(*) from "+quoteName(table)).Scan(&got); err != nil {
		t.Fatalf("testkit: RequireCount: %s: %v", table, err)
	}
	if got != n {
		t.Fatalf("testkit: RequireCount: %s has %d rows, want %d", table, got, n)
	}
}

func shownRows[T any](rows []T) []string {
	lines := make([]string, len(rows))
	for i, row := range rows {
		lines[i] = shown(reflect.ValueOf(row))
	}
	return lines
}

var textType = reflect.TypeFor[fmt.Stringer]()

// shown returns a value as a text: equal values have equal texts, and a failure shows the text.
func shown(v reflect.Value) string {
	switch {
	case !v.IsValid():
		return "nil"
	case v.Type() == reflect.TypeFor[time.Time]():
		return v.Interface().(time.Time).UTC().Format(time.RFC3339Nano)
	case v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface:
		if v.IsNil() {
			return "nil"
		}
		return shown(v.Elem())
	case v.Type().Implements(textType) || v.Kind() != reflect.Struct:
		return fmt.Sprintf("%#v", v.Interface())
	}
	fields := make([]string, 0, v.NumField())
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.IsExported() {
			fields = append(fields, f.Name+": "+shown(v.Field(i)))
		}
	}
	return "{" + strings.Join(fields, ", ") + "}"
}

// diffLines returns the lines of both lists with the smallest number of removals and additions,
// and "" for equal lists.
func diffLines(want, got []string) string {
	// common[i][j] is the length of the longest common subsequence of want[i:] and got[j:].
	common := make([][]int, len(want)+1)
	for i := range common {
		common[i] = make([]int, len(got)+1)
	}
	for i := len(want) - 1; i >= 0; i-- {
		for j := len(got) - 1; j >= 0; j-- {
			if want[i] == got[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	if n := common[0][0]; n == len(want) && n == len(got) {
		return ""
	}
	var out strings.Builder
	i, j := 0, 0
	for i < len(want) || j < len(got) {
		switch {
		case i < len(want) && j < len(got) && want[i] == got[j]:
			fmt.Fprintf(&out, "  %s\n", want[i])
			i, j = i+1, j+1
		case j == len(got) || i < len(want) && common[i+1][j] >= common[i][j+1]:
			fmt.Fprintf(&out, "- %s\n", want[i])
			i++
		default:
			fmt.Fprintf(&out, "+ %s\n", got[j])
			j++
		}
	}
	return out.String()
}
