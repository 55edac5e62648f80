package fxdbotel_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/fxdbotel"
	"github.com/agentagency/onepool/internal/testing/faultproxy"
	"github.com/agentagency/onepool/testkit"
)

// Nothing listens at the first host.
func TestTheServersAddressIsTheHostThatAnswered(t *testing.T) {
	t.Parallel()
	cc := testkit.Pool(t).Config().ConnConfig
	proxy, err := faultproxy.New(t, cc.ConnString())
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(proxy.Addr())
	require.NoError(t, err)
	here := fmt.Sprint(cc.Port)
	for name, c := range map[string]struct {
		hosts, ports string
		host, port   string // as the spans name the server
	}{
		"a socket":                         {"/nowhere," + cc.Host, here + "," + here, cc.Host, here},
		"a socket after an address":        {"127.0.0.1," + cc.Host, "1," + here, cc.Host, here},
		"an address":                       {"127.0.0.1,127.0.0.1", "1," + port, "127.0.0.1", port},
		"a name":                           {"127.0.0.1,localhost", "1," + port, "localhost", port},
		"an address after a name":          {"localhost,127.0.0.1", "1," + port, "127.0.0.1", port},
		"one of two names with one port":   {"nowhere.invalid,localhost", port + "," + port, "127.0.0.1", port},
		"a single host keeps its own name": {"localhost", port, "localhost", port},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := newTracing(t)
			cfg := fxdbotel.Config{TracerProvider: tr.provider, MeterProvider: sdkmetric.NewMeterProvider()}
			query := url.Values{"host": {c.hosts}, "port": {c.ports}, "user": {cc.User}, "sslmode": {"disable"}}
			db, err := fxdb.Open(t.Context(), fxdb.Config{URL: "postgres:///" + cc.Database + "?" + query.Encode(), PoolMin: 1, PoolMax: 2},
				fxdb.WithTracer(fxdbotel.NewTracer(cfg)))
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, db.Close(context.Background())) })
			conn, err := db.Acquire(t.Context()) // the next use connects
			require.NoError(t, err)
			defer conn.Release()
			tr.exporter.Reset()
			ctx, parent := tr.provider.Tracer("test").Start(t.Context(), "request")
			_, err = db.Exec(ctx, "select 1")
			require.NoError(t, err)
			parent.End()
			spans := tr.exporter.GetSpans()
			require.Subset(t, names(spans), []string{"acquire connection", "connect", "SELECT"})
			for _, s := range spans {
				if s.Name != "request" {
					requireAttribute(t, s, "server.address", c.host)
					requireAttribute(t, s, "server.port", c.port)
				}
			}
		})
	}
}
