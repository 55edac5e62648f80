package fxdbotel_test

import (
	"context"
	"testing"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb/fxdbotel"
)

// An exporter drops all spans of an export if a text of a single span is not UTF-8.
func TestEveryTextOfASpanIsUTF8(t *testing.T) {
	t.Parallel()
	db, tr := traced(t, func(c *fxdbotel.Config) { c.RecordValues = true })
	hidden, hiddenTr := traced(t)
	for name, do := range map[string]func(context.Context) error{
		"a name in a statement": func(ctx context.Context) error {
			_, err := db.Exec(ctx, "select \"caf\xe9\" from \"caf\xe9\"")
			return err
		},
		"a name, without values": func(ctx context.Context) error {
			_, err := hidden.Exec(ctx, "select \"caf\xe9\" from \"caf\xe9\"")
			return err
		},
		"a parameter": func(ctx context.Context) error {
			_, err := db.Exec(ctx, "select $1::text", "caf\xe9")
			return err
		},
		"a statement of a batch": func(ctx context.Context) error {
			b := &pgx.Batch{}
			b.Queue("select * from \"caf\xe9\"")
			return db.SendBatch(ctx, b).Close()
		},
		"a table of a COPY": func(ctx context.Context) error {
			_, err := db.CopyFrom(ctx, pgx.Identifier{"caf\xe9"}, []string{"a"}, pgx.CopyFromRows([][]any{{1}}))
			return err
		},
		"a tenant": func(ctx context.Context) error {
			return db.InTx(as(ctx, "caf\xe9"), pgx.TxOptions{}, func(pgx.Tx) error { return nil })
		},
	} {
		for _, tr := range []*tracing{tr, hiddenTr} {
			tr.request(t.Context(), func(ctx context.Context) { require.Error(t, do(ctx), name) })
			for _, s := range tr.exporter.GetSpans() {
				require.True(t, utf8.ValidString(s.Name), "%s: %q", name, s.Name)
				require.True(t, utf8.ValidString(s.Status.Description), "%s: %q", name, s.Status.Description)
				attrs := s.Attributes
				for _, e := range s.Events {
					attrs = append(attrs, e.Attributes...)
				}
				for _, a := range attrs {
					require.True(t, utf8.ValidString(a.Value.String()), "%s: %s=%q", name, a.Key, a.Value.String())
				}
			}
		}
	}
}
