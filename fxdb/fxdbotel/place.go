package fxdbotel

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/agentagency/onepool/lifecycle"
)

// place is the pool, the server and the database of an operation.
type place struct {
	attrs  []attribute.KeyValue // of spans
	metric []attribute.KeyValue // of metrics: attrs without the address of the connection's peer
	key    string               // distinguishes places in durations
}

var nowhere = &place{attrs: []attribute.KeyValue{semconv.DBSystemNamePostgreSQL}, metric: []attribute.KeyValue{semconv.DBSystemNamePostgreSQL}}

// placeOf returns the place of conn, and keeps the place with conn: Conn.Config makes a copy.
func placeOf(ctx context.Context, conn *pgx.Conn) *place {
	if conn == nil {
		return nowhere
	}
	data := conn.PgConn().CustomData()
	if known, ok := data[scopeName].(*place); ok {
		return known
	}
	m, _ := lifecycle.MonitorOf(ctx, conn)
	cc := conn.Config()
	p := newPlace(m, cc.Database, peerOf(conn, cc))
	if tcp, ok := conn.PgConn().Conn().RemoteAddr().(*net.TCPAddr); ok {
		p.attrs = append(p.attrs, semconv.NetworkPeerAddress(tcp.IP.String()), semconv.NetworkPeerPort(tcp.Port))
	}
	data[scopeName] = p
	return p
}

func newPlace(m *lifecycle.Monitor, database string, server endpoint) *place {
	attrs := []attribute.KeyValue{
		semconv.DBSystemNamePostgreSQL, semconv.DBNamespace(database), semconv.ServerAddress(server.host), semconv.ServerPort(server.port),
	}
	p := &place{key: fmt.Sprint(server.host, "\n", server.port)}
	if m != nil {
		p.key += "\n" + m.Name()
		attrs = append(attrs, semconv.DBClientConnectionPoolName(m.Name()))
	}
	p.metric = attrs
	p.attrs = attrs[:len(attrs):len(attrs)]
	return p
}

// operationBuckets are in seconds. A point read takes 0.1 ms.
var operationBuckets = metric.WithExplicitBucketBoundaries(.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60)

// measured is the key of a series of db.client.operation.duration.
type measured struct{ place, operation, client, class string }

// durations keeps the attributes of every series. Series are few.
var durations sync.Map // of metric.MeasurementOption, by measured

// record measures the time of an operation.
func (t *tracer) record(ctx context.Context, op *operation, err error) {
	class := lifecycle.ErrorClass(err)
	key := measured{op.place.key, op.name, op.client, class}
	option, known := durations.Load(key)
	if !known {
		attrs := op.place.metric[:len(op.place.metric):len(op.place.metric)]
		if op.name != "" {
			attrs = append(attrs, semconv.DBOperationName(op.name))
		}
		if op.client != "" {
			attrs = append(attrs, ClientKey.String(op.client))
		}
		if class != "" {
			attrs = append(attrs, semconv.ErrorTypeKey.String(class))
		}
		if code := sqlstate(err); code != "" {
			attrs = append(attrs, semconv.DBResponseStatusCode(code))
		}
		option, _ = durations.LoadOrStore(key, metric.WithAttributeSet(attribute.NewSet(attrs...)))
	}
	t.duration.Record(ctx, time.Since(op.began).Seconds(), option.(metric.MeasurementOption))
}
