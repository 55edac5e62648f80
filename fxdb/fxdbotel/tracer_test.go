package fxdbotel_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/fxdbotel"
)

func names(spans tracetest.SpanStubs) []string {
	out := []string{}
	for _, s := range spans {
		out = append(out, s.Name)
	}
	return out
}

func requireAttribute(t testing.TB, s tracetest.SpanStub, key, want string) {
	t.Helper()
	for _, a := range s.Attributes {
		if string(a.Key) == key {
			require.Equal(t, want, a.Value.String(), key)
			return
		}
	}
	t.Errorf("span %q has no attribute %s", s.Name, key)
}

func TestAStatementIsOneSpan(t *testing.T) {
	t.Parallel()
	db, tr := traced(t)
	statements := map[string]func(context.Context) error{
		"Exec": func(ctx context.Context) error {
			_, err := db.Exec(ctx, "select $1::int", 1)
			return err
		},
		"Query": func(ctx context.Context) error {
			rows, err := db.Query(ctx, "select $1::int", 1)
			if err != nil {
				return err
			}
			_, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[int])
			return err
		},
		"QueryRow": func(ctx context.Context) error {
			var n int
			return db.QueryRow(ctx, "select $1::int", 1).Scan(&n)
		},
	}
	for name, run := range statements {
		for _, who := range []string{"", "acme"} {
			ctx := t.Context()
			if who != "" {
				ctx = as(ctx, who)
			}
			spans := tr.request(ctx, func(ctx context.Context) { require.NoError(t, run(ctx)) })
			require.Equal(t, []string{"SELECT"}, names(spans), "%s as %q", name, who)
			s := spans[0]
			require.Equal(t, trace.SpanKindClient, s.SpanKind)
			require.True(t, s.EndTime.After(s.StartTime))
			requireAttribute(t, s, "db.system.name", "postgresql")
			requireAttribute(t, s, "db.operation.name", "SELECT")
			requireAttribute(t, s, "db.query.text", "select $1::int")
			requireAttribute(t, s, "db.namespace", db.Pool().Config().ConnConfig.Database)
			requireAttribute(t, s, "db.response.returned_rows", "1")
			requireAttribute(t, s, "onepool.client", "app")
			if who == "" {
				require.False(t, hasAttribute(s, fxdbotel.TenantKey))
			} else {
				requireAttribute(t, s, "onepool.tenant", who)
			}
		}
	}
}

func TestEverySpanOfAStatementNamesTheClientAndTheTenant(t *testing.T) {
	t.Parallel()
	db, tr := traced(t)
	orders := db.Named("orders")
	for _, c := range []struct {
		name, client string
		do           func(context.Context) error
	}{
		{"a statement", "orders", func(ctx context.Context) error {
			_, err := orders.Exec(ctx, "select 1")
			return err
		}},
		{"a transaction", "orders", func(ctx context.Context) error {
			return orders.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
				_, err := tx.Exec(ctx, "select 1")
				return err
			})
		}},
		{"a batch", "orders", func(ctx context.Context) error {
			b := &pgx.Batch{}
			b.Queue("select 1")
			b.Queue("select 2")
			return orders.SendBatch(ctx, b).Close()
		}},
		{"another client", "app", func(ctx context.Context) error {
			_, err := db.Exec(ctx, "select 1")
			return err
		}},
	} {
		for _, who := range []string{"", "acme"} {
			ctx := t.Context()
			if who != "" {
				ctx = as(ctx, who)
			}
			spans := tr.request(ctx, func(ctx context.Context) { require.NoError(t, c.do(ctx), c.name) })
			require.NotEmpty(t, spans)
			for _, s := range spans {
				requireAttribute(t, s, "onepool.client", c.client)
				require.Equal(t, who != "", hasAttribute(s, fxdbotel.TenantKey), "%s as %q: %s", c.name, who, s.Name)
				requireAttribute(t, s, "db.system.name", "postgresql")
				requireAttribute(t, s, "db.namespace", db.Pool().Config().ConnConfig.Database)
				requireAttribute(t, s, "server.address", db.Pool().Config().ConnConfig.Host)
				requireAttribute(t, s, "db.client.connection.pool.name", db.Monitor().Name())
			}
		}
	}
	spans := tr.request(t.Context(), func(ctx context.Context) {
		_, err := db.Pool().Exec(ctx, "select 1")
		require.NoError(t, err)
	})
	requireAttribute(t, spans[0], "onepool.client", "raw pool")
}

func TestAClientsOwnLimitsMakeNoSpan(t *testing.T) {
	t.Parallel()
	db, tr := traced(t)
	slow := db.Named("slow", fxdb.Timeouts(fxdb.ServerTimeouts{Statement: time.Minute}))
	spans := tr.request(t.Context(), func(ctx context.Context) {
		_, err := slow.Exec(ctx, "select 1")
		require.NoError(t, err)
	})
	require.Equal(t, []string{"SELECT"}, names(spans))
	requireAttribute(t, spans[0], "db.query.text", "select ?")
}

func TestATransactionsStatementsAreSpans(t *testing.T) {
	t.Parallel()
	db, tr := traced(t)
	for _, ctx := range []context.Context{t.Context(), as(t.Context(), "acme")} {
		spans := tr.request(ctx, func(ctx context.Context) {
			require.NoError(t, db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
				_, err := tx.Exec(ctx, "select 1")
				return err
			}))
		})
		require.ElementsMatch(t, []string{"BEGIN", "SELECT", "COMMIT", "transaction"}, names(spans))
		attempt := spans[len(spans)-1]
		requireAttribute(t, attempt, "onepool.tx.attempt", "1")
		for _, s := range spans[:len(spans)-1] {
			require.Equal(t, attempt.SpanContext.SpanID(), s.Parent.SpanID(), s.Name)
		}
	}
}

func TestABatchIsASpanWithOneForEachStatement(t *testing.T) {
	t.Parallel()
	db, tr := traced(t)
	for _, ctx := range []context.Context{t.Context(), as(t.Context(), "acme")} {
		spans := tr.request(ctx, func(ctx context.Context) {
			b := &pgx.Batch{}
			b.Queue("select 1")
			b.Queue("values (2)")
			require.NoError(t, db.SendBatch(ctx, b).Close())
		})
		require.Equal(t, []string{"SELECT", "VALUES", "BATCH"}, names(spans))
		require.Equal(t, spans[2].SpanContext.SpanID(), spans[0].Parent.SpanID())
	}
}

func TestParametersAreNotRecorded(t *testing.T) {
	t.Parallel()
	db, tr := traced(t)
	for _, ctx := range []context.Context{t.Context(), as(t.Context(), "acme")} {
		spans := tr.request(ctx, func(ctx context.Context) {
			_, err := db.Exec(ctx, "select $1::text", "hunter2")
			require.NoError(t, err)
			_, err = db.Exec(ctx, "select ($1::text)::int", "hunter2") // the server quotes the parameter
			require.ErrorContains(t, err, "hunter2")
			_, err = db.Exec(ctx, "select $1::int", "hunter2") // pgx quotes the parameter
			require.ErrorContains(t, err, "hunter2")
			b := &pgx.Batch{}
			b.Queue("select 1")
			b.Queue("select ($1::text)::int", "hunter2")
			b.Queue("select 2")
			require.ErrorContains(t, db.SendBatch(ctx, b).Close(), "hunter2")
		})
		require.NotEmpty(t, spans)
		everything := fmt.Sprintf("%+v", tr.exporter.GetSpans())
		require.NotContains(t, everything, "hunter2")
		require.NotContains(t, everything, "secret user")
	}
}

func TestValuesAreRecordedOnRequest(t *testing.T) {
	t.Parallel()
	db, tr := traced(t, func(c *fxdbotel.Config) { c.RecordValues = true })
	spans := tr.request(as(t.Context(), "acme"), func(ctx context.Context) {
		_, err := db.Exec(ctx, "select ($1::text)::int", "forty")
		require.Error(t, err)
	})
	require.Equal(t, []string{"SELECT"}, names(spans))
	requireAttribute(t, spans[0], "db.query.parameter.0", "forty")
	require.Contains(t, spans[0].Status.Description, "forty")
}

func TestStatementsCanBeHidden(t *testing.T) {
	t.Parallel()
	db, tr := traced(t, func(c *fxdbotel.Config) { c.HideStatements = true })
	for _, ctx := range []context.Context{t.Context(), as(t.Context(), "acme")} {
		spans := tr.request(ctx, func(ctx context.Context) {
			_, err := db.Exec(ctx, "select 'hunter2'")
			require.NoError(t, err)
		})
		require.Equal(t, []string{"SELECT"}, names(spans))
		require.NotContains(t, fmt.Sprintf("%+v", tr.exporter.GetSpans()), "hunter2")
	}
}

func TestAFailedStatementShowsItsSQLSTATE(t *testing.T) {
	t.Parallel()
	db, tr := traced(t)
	for _, ctx := range []context.Context{t.Context(), as(t.Context(), "acme")} {
		spans := tr.request(ctx, func(ctx context.Context) {
			_, err := db.Exec(ctx, "select 1/$1::int", 0)
			require.Error(t, err)
		})
		require.Equal(t, []string{"SELECT"}, names(spans))
		require.Equal(t, codes.Error, spans[0].Status.Code)
		require.Equal(t, "ERROR (SQLSTATE 22012)", spans[0].Status.Description)
		requireAttribute(t, spans[0], "error.type", "22012")
		requireAttribute(t, spans[0], "db.response.status_code", "22012")
		require.Len(t, spans[0].Events, 1)
		require.Contains(t, spans[0].Events[0].Attributes, semconv.ExceptionType("*pgconn.PgError"))
	}
}

func TestEachAttemptOfATransactionIsASpan(t *testing.T) {
	t.Parallel()
	db, tr := traced(t)
	attempts := 0
	spans := tr.request(t.Context(), func(ctx context.Context) {
		require.NoError(t, db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
			if attempts++; attempts == 2 {
				return nil
			}
			_, err := tx.Exec(ctx, "do $$ begin raise sqlstate '40001'; end $$")
			return err
		}))
	})
	var transactions tracetest.SpanStubs
	for _, s := range spans {
		if s.Name == "transaction" {
			transactions = append(transactions, s)
		}
	}
	require.Len(t, transactions, 2)
	for i, s := range transactions {
		requireAttribute(t, s, "onepool.tx.attempt", fmt.Sprint(i+1))
		requireAttribute(t, s, "onepool.client", "app")
		requireAttribute(t, s, "db.client.connection.pool.name", db.Monitor().Name())
	}
	requireAttribute(t, transactions[0], "error.type", "40001")
	require.Equal(t, codes.Unset, transactions[1].Status.Code)
	require.False(t, transactions[1].StartTime.Before(transactions[0].EndTime))
}

func TestNoValueOfAStatementIsRecorded(t *testing.T) {
	t.Parallel()
	db, tr := traced(t)
	for _, ctx := range []context.Context{t.Context(), as(t.Context(), "acme")} {
		spans := tr.request(ctx, func(ctx context.Context) {
			_, err := db.Exec(ctx, "select'hunter2' as a, 4711 -- hunter2")
			require.NoError(t, err)
			b := &pgx.Batch{}
			b.Queue("select 1 where 'hunter2' = $1", "x")
			b.Queue("/* hunter2 */ select $$hunter2$$ from pg_class limit 1")
			require.NoError(t, db.SendBatch(ctx, b).Close())
			_, err = db.Exec(ctx, "select E'hunter2")
			require.Error(t, err)
		})
		require.Equal(t, []string{"SELECT", "SELECT", "SELECT pg_class", "BATCH", "SELECT"}, names(spans))
		requireAttribute(t, spans[0], "db.query.text", "select? as a, ?")
		requireAttribute(t, spans[2], "db.query.text", "select ? from pg_class limit ?")
		requireAttribute(t, spans[2], "db.query.summary", "SELECT pg_class")
		everything := fmt.Sprintf("%+v", tr.exporter.GetSpans())
		require.NotContains(t, everything, "hunter2")
		require.NotContains(t, everything, "4711")
	}
}

func TestASpanIsNamedAfterWhatIsDoneAndToWhichTable(t *testing.T) {
	t.Parallel()
	db, tr := traced(t)
	spans := tr.request(t.Context(), func(ctx context.Context) {
		_, err := db.Exec(ctx, "select c.relname from pg_catalog.pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1", "x")
		require.NoError(t, err)
	})
	require.Equal(t, []string{"SELECT pg_catalog.pg_class pg_namespace"}, names(spans))
	requireAttribute(t, spans[0], "db.operation.name", "SELECT")
}

func TestWhatIsNotRecordedMakesNoSpan(t *testing.T) {
	t.Parallel()
	db, tr := traced(t)
	tr.exporter.Reset()
	_, err := db.Exec(as(t.Context(), "acme"), "select 1")
	require.NoError(t, err)
	require.Empty(t, tr.exporter.GetSpans())
}

func TestAnAcquireThatWaitsIsASpan(t *testing.T) {
	t.Parallel()
	db, tr := traced(t)
	conn, err := db.Acquire(t.Context())
	require.NoError(t, err)
	spans := tr.whole(as(t.Context(), "acme"), func(ctx context.Context) {
		waiting := make(chan error, 1)
		go func() {
			_, err := db.Exec(ctx, "select 1")
			waiting <- err
		}()
		require.Eventually(t, func() bool { return db.Stats().Waiting == 1 }, patience, time.Millisecond)
		<-time.After(2 * time.Millisecond) // worth a span
		conn.Release()
		require.NoError(t, <-waiting)
	})
	require.Equal(t, []string{"acquire connection", "SELECT"}, names(spans))
	requireAttribute(t, spans[0], "onepool.client", "app")
	require.GreaterOrEqual(t, spans[0].EndTime.Sub(spans[0].StartTime), 2*time.Millisecond)
}

func TestAnAcquireThatFailsIsASpan(t *testing.T) {
	t.Parallel()
	db, tr := traced(t)
	conn, err := db.Acquire(t.Context())
	require.NoError(t, err)
	spans := tr.whole(as(t.Context(), "acme"), func(ctx context.Context) {
		giveUp(t, ctx, db, func(ctx context.Context) error { _, err := db.Exec(ctx, "select 1"); return err })
	})
	conn.Release()
	require.Equal(t, []string{"acquire connection"}, names(spans))
	requireAttribute(t, spans[0], "onepool.tenant", "acme")
	requireAttribute(t, spans[0], "onepool.client", "app")
	require.Equal(t, codes.Error, spans[0].Status.Code)
	require.GreaterOrEqual(t, spans[0].EndTime.Sub(spans[0].StartTime), 2*time.Millisecond)
}
