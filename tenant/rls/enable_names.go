package rls

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
)

// maxName is the server's longest name, in bytes. The server cuts longer names, and the rest
// may be the name of another table.
const maxName = 63

// CheckTables returns an error for every argument that makes the DDL of [Enable], [Disable] and
// [Migration] fail, and nil if all arguments are good. CheckTables needs no database.
func CheckTables(tables ...Table) error {
	_, bad := checkTables(tables)
	return errors.Join(bad...)
}

// resolve checks and quotes the names. For bad arguments resolve returns statements that fail
// with the errors.
func resolve(tables []Table) ([]target, []string) {
	targets, bad := checkTables(tables)
	var refusals []string
	for _, err := range bad {
		refusals = append(refusals, refusal(err.Error()))
	}
	return targets, refusals
}

func checkTables(tables []Table) (targets []target, bad []error) {
	if len(tables) == 0 {
		return nil, []error{errors.New("no table is given: nothing would be isolated")}
	}
	seen := make(map[string]bool)
	for i, t := range tables {
		resolved, err := t.resolve()
		switch {
		case err != nil:
			bad = append(bad, fmt.Errorf("table %d: %w", i+1, err))
			continue
		case seen[resolved.name]:
			bad = append(bad, fmt.Errorf("table %d: %s is given twice", i+1, resolved.name))
		}
		seen[resolved.name] = true
		targets = append(targets, resolved)
	}
	for _, t := range targets {
		if t.sharing != nil && seen[t.sharing.name] {
			bad = append(bad, fmt.Errorf("%s is both a table and the grants of %s: the policies of the grants come with the shared table", t.sharing.name, t.name))
		}
	}
	return targets, bad
}

func (t Table) resolve() (target, error) {
	parts, err := splitName(t.Name)
	if err != nil {
		return target{}, fmt.Errorf("name %s %w", shown(t.Name), err)
	}
	if err := checkName(t.Column); err != nil {
		return target{}, fmt.Errorf("column %s of %s %w", shown(t.Column), shown(t.Name), err)
	}
	r := target{
		name: parts.Sanitize(), bare: parts[len(parts)-1],
		column: quote(t.Column), plain: t.Column, kind: t.Type, index: t.Index,
	}
	switch t.Type {
	case "":
		r.kind = Text
	case Text, UUID, BigInt:
	default:
		return target{}, fmt.Errorf("type %s of %s is unknown: must be text, uuid or bigint", shown(t.Type), shown(t.Name))
	}
	if t.Sharing != nil {
		if r.sharing, err = t.Sharing.resolve(r.kind); err != nil {
			return target{}, fmt.Errorf("sharing of %s: %w", shown(t.Name), err)
		}
	}
	return r, nil
}

// splitName splits table and schema.table. Each part may have double quotes.
func splitName(name string) (pgx.Identifier, error) {
	if strings.TrimSpace(name) == "" {
		return nil, errors.New("is empty")
	}
	var parts pgx.Identifier
	for rest, more := name, true; more; {
		var part string
		if strings.HasPrefix(rest, `"`) {
			end := 1
			for {
				next := strings.IndexByte(rest[end:], '"')
				if next < 0 {
					return nil, errors.New("has a double quote that is not closed")
				}
				end += next + 1
				if !strings.HasPrefix(rest[end:], `"`) {
					break
				}
				end++ // a doubled quote is part of the name
			}
			part = strings.ReplaceAll(rest[1:end-1], `""`, `"`)
			rest = rest[end:]
			if more = rest != ""; more && rest[0] != '.' {
				return nil, errors.New("goes on behind a closing double quote")
			}
			rest = strings.TrimPrefix(rest, ".")
		} else {
			part, rest, more = strings.Cut(rest, ".")
		}
		if err := checkName(part); err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	if len(parts) > 2 {
		return nil, errors.New("has more than two parts: must be table or schema.table")
	}
	return parts, nil
}

func checkName(name string) error {
	switch {
	case strings.TrimSpace(name) == "":
		return errors.New("is empty or has an empty part")
	case len(name) > maxName:
		return fmt.Errorf("is longer than %d bytes", maxName)
	case !utf8.ValidString(name):
		return errors.New("is not valid UTF-8")
	case strings.ContainsFunc(name, unicode.IsControl): // NUL, and line ends that would end a comment
		return errors.New("holds a control character")
	}
	return nil
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

// literal quotes a text without control characters.
func literal(s string) string {
	if strings.Contains(s, `\`) { // right under either standard_conforming_strings
		return `E'` + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(s) + `'`
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}

// shown is a name in a message: quoted, ASCII, and cut to a limit.
func shown(name string) string {
	if len(name) > 2*maxName {
		name = strings.ToValidUTF8(name[:2*maxName], "") + "..."
	}
	return strconv.QuoteToASCII(name)
}

// refusal is a statement that fails with the message. The message has no dollar sign and
// doubled quotes, so that the message can't end the body.
func refusal(message string) string {
	safe := strings.NewReplacer("'", "''", "$", `\x24`).Replace("onepool: " + message)
	return "do $onepool$ begin raise exception using errcode = '22023', message = '" + safe + "'; end $onepool$;"
}
