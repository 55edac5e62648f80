package lifecycle_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

func TestAReportOfAParameterIsSeenInEveryPartOfAStream(t *testing.T) {
	t.Parallel()
	report, err := (&pgproto3.ParameterStatus{Name: "TimeZone", Value: "Asia/Tokyo"}).Encode(nil)
	require.NoError(t, err)
	answer := []byte("C\x00\x00\x00\rSELECT 1\x00")
	ready := []byte("Z\x00\x00\x00\x05I")
	stream := append(append(append([]byte{}, answer...), report...), ready...)
	for cut := range stream { // as two reads
		require.True(t, lifecycle.MayReport(stream[:cut]) || lifecycle.MayReport(stream[cut:]), cut)
	}
	for name, c := range map[string]struct {
		part string
		want bool
	}{
		"nothing":          {"", false},
		"a usual answer":   {string(answer) + string(ready), false},
		"a long parameter": {"S\x3f\xff\xff\xffsearch_path", true},
		"the type alone":   {"C\x00\x00\x00\x08SET\x00S", true},
		"words":            {"SELECT SET SHOW SAVEPOINT Straße", false},
		"a value":          {"D\x00\x00\x00\x0d\x00\x01\x00\x00\x00\x03S 1", true}, // compares for nothing
	} {
		require.Equal(t, c.want, lifecycle.MayReport([]byte(c.part)), name)
	}
}

func TestAParameterThatNoTextShowsClosesTheConnection(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	m, _ := startPool(t, func(c *lifecycle.Config) { c.Pool.MaxConns = 1 })
	use := func(sql string) (pid uint32) {
		conn, err := m.Acquire(bounded(t), lifecycle.Request{Client: "user"})
		require.NoError(t, err)
		defer conn.Release()
		_, err = conn.Exec(bounded(t), sql)
		require.NoError(t, err)
		return conn.Conn().PgConn().PID()
	}
	for _, c := range []struct {
		sql  string
		kept bool
	}{
		{"select 1", true},
		{"select 'S 1'", true},
		{"select set_config('timezone', 'Asia/Tokyo', true)", true},
		{"select set_config('timezone', 'Asia/Tokyo', false)", false},
		{"select set_config('datestyle', 'German', false), repeat('x', 100000) from generate_series(1, 3)", false},
		{"select 1; select set_config('intervalstyle', 'iso_8601', false)", false},
	} {
		before := use("select 1")
		require.Equal(t, before, use(c.sql), c.sql)
		require.Equal(t, c.kept, before == use("select 1"), c.sql)
	}
}
