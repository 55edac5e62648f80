package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// ask sends a request as acme, and returns the answer and its body.
func ask(t *testing.T, method, url, body string, headers ...string) (answered, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("X-Tenant-ID", "acme")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return answered{resp.StatusCode, resp.Header, resp.Close}, string(b)
}

// answered is an answer whose body was read.
type answered struct {
	StatusCode int
	Header     http.Header
	Close      bool
}

func TestEveryAnswerHasARequestIDAndIsNeitherGuessedNorKept(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	s := httptest.NewServer(newAPI(t, testkit.Swap(t)))
	t.Cleanup(s.Close)
	for _, path := range []string{"/livez", "/stats", "/openapi.yaml", "/agents", "/agents/none", "/nothing", "//agents"} {
		resp, _ := ask(t, http.MethodGet, s.URL+path, "")
		require.Regexp(t, "^[0-9a-f]{32}$", resp.Header.Get("X-Request-Id"), path)
		require.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"), path)
		require.Equal(t, "no-store", resp.Header.Get("Cache-Control"), path)
	}
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	for given, want := range map[string]bool{
		"00-" + trace + "-00f067aa0ba902b7-01":                    true,
		"cc-" + trace + "-00f067aa0ba902b7-01-more":               true,
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01": false,
		"00-" + strings.ToUpper(trace) + "-00f067aa0ba902b7-01":   false,
		trace: false,
	} {
		resp, body := ask(t, http.MethodGet, s.URL+"/agents/none", "", "Traceparent", given)
		require.Equal(t, want, resp.Header.Get("X-Request-Id") == trace, given)
		require.Contains(t, body, resp.Header.Get("X-Request-Id"))
	}
}

// A GET of such a path was a 405 that said: takes GET.
func TestNothingIsAtAPathThatIsNotClean(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	s := httptest.NewServer(newAPI(t, testkit.Swap(t)))
	t.Cleanup(s.Close)
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		for _, path := range []string{"//agents", "/agents/../stats", "/./agents", "/agents//stats", "/agents/"} {
			_, body, _ := wire(t, s, method+" "+path+" HTTP/1.1\r\nHost: agency\r\nX-Tenant-ID: acme\r\n\r\n")
			require.Contains(t, body, `"detail":"there is nothing at this path"`, "%s %s", method, path)
		}
	}
}

// The server keeps times that Go can't write as JSON.
func TestAnAnswerThatCannotBeEncodedIsA500ThatTheLogHas(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	core, logs := observer.New(zap.ErrorLevel)
	var db *fxdb.DB
	s := httptest.NewServer(newAPI(t, testkit.Swap(t), fx.Replace(zap.New(core)), fx.Populate(&db)))
	t.Cleanup(s.Close)
	resp, _ := ask(t, http.MethodPost, s.URL+"/agents", ada, "Content-Type", "application/json")
	require.Equal(t, http.StatusCreated, resp.StatusCode)
	_, err := db.Exec(asAcme(t.Context()), "update registry.agents set last_active_at = '12000-01-01'")
	require.NoError(t, err)

	resp, body := ask(t, http.MethodGet, s.URL+"/agents/ada", "")
	require.Equal(t, http.StatusInternalServerError, resp.StatusCode, body)
	require.Contains(t, body, `"type":"/problems/internal"`)
	require.Equal(t, 1, logs.Len())
	id := logs.All()[0].ContextMap()["request_id"]
	require.Equal(t, resp.Header.Get("X-Request-Id"), id)
	require.Contains(t, body, id)
}

func TestABodyThatIsNotPlainJSONIsRefused(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	s := httptest.NewServer(newAPI(t, testkit.Swap(t)))
	t.Cleanup(s.Close)
	for _, headers := range [][]string{
		{},
		{"Content-Type", "text/plain"},
		{"Content-Type", "application/x-www-form-urlencoded"},
		{"Content-Type", "application/json; charset=latin1"},
		{"Content-Type", "application/json", "Content-Encoding", "gzip"},
	} {
		resp, body := ask(t, http.MethodPost, s.URL+"/agents", ada, headers...)
		require.Equal(t, http.StatusUnsupportedMediaType, resp.StatusCode, "%q: %s", headers, body)
		require.Contains(t, body, `"type":"/problems/unsupported_media"`)
	}
	resp, body := ask(t, http.MethodPost, s.URL+"/agents", ada, "Content-Type", "Application/JSON; charset=UTF-8")
	require.Equal(t, http.StatusCreated, resp.StatusCode, body)
}

// wire sends bytes on a connection of its own, and returns what answers.
func wire(t *testing.T, s *httptest.Server, text string) (answered, string, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	_, err = io.WriteString(conn, text)
	require.NoError(t, err)
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return answered{resp.StatusCode, resp.Header, resp.Close}, string(body), r
}

const head = "POST /agents HTTP/1.1\r\nHost: agency\r\nX-Tenant-ID: acme\r\nContent-Type: application/json\r\n"

func TestASlowBodyIsATimeoutThatNamesNoAddress(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	s := httptest.NewUnstartedServer(newAPI(t, testkit.Swap(t)))
	s.Config.ReadTimeout = 200 * time.Millisecond
	s.Start()
	t.Cleanup(s.Close)
	resp, body, _ := wire(t, s, head+"Content-Length: 1000\r\n\r\n{")
	require.Equal(t, http.StatusRequestTimeout, resp.StatusCode, body)
	require.Contains(t, body, `"type":"/problems/slow_body"`)
	require.NotContains(t, body, "127.0.0.1")
	require.True(t, resp.Close)
}

func TestAConnectionEndsAfterARequestWithTwoLengths(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	s := httptest.NewServer(newAPI(t, testkit.Swap(t)))
	t.Cleanup(s.Close)
	chunk := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(ada), ada)
	resp, body, rest := wire(t, s, head+"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"+chunk+"GET /livez HTTP/1.1\r\nHost: agency\r\n\r\n")
	require.Equal(t, http.StatusCreated, resp.StatusCode, body)
	require.True(t, resp.Close)
	_, err := rest.ReadByte()
	require.ErrorIs(t, err, io.EOF, "the second request has no answer")
}

func TestAnOutageIsLoggedAsASample(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	core, logs := observer.New(zap.WarnLevel)
	var db *fxdb.DB
	s := httptest.NewServer(newAPI(t, testkit.Swap(t), fx.Replace(zap.New(core)), fx.Populate(&db)))
	t.Cleanup(s.Close)
	require.NoError(t, db.Close(t.Context()))
	for range 50 {
		resp, _ := ask(t, http.MethodGet, s.URL+"/agents/"+secret, "")
		require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
		require.Equal(t, "1", resp.Header.Get("Retry-After"))
	}
	lines := logs.FilterMessage("request failed")
	require.NotZero(t, lines.Len())
	require.Less(t, lines.Len(), 20, "one line a request")
	require.Contains(t, lines.All()[0].ContextMap(), "request_id")
	require.Equal(t, "GET /agents/{id}", lines.All()[0].ContextMap()["route"], "the id is a tenant's text")
	for _, line := range logs.All() {
		require.NotContains(t, fmt.Sprint(line.ContextMap()), secret)
	}
}

// The pool's lines about a request lead to the request.
func TestThePoolsLogLinesHaveTheRequestsID(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	core, logs := observer.New(zap.WarnLevel)
	s := httptest.NewServer(newAPI(t, testkit.Swap(t, testkit.Config(func(c *fxdb.Config) { c.SlowQuery = time.Nanosecond })), fx.Replace(zap.New(core))))
	t.Cleanup(s.Close)
	resp, body := ask(t, http.MethodGet, s.URL+"/agents/none", "")
	require.Equal(t, http.StatusNotFound, resp.StatusCode, body)
	mine := zap.String("request_id", resp.Header.Get("X-Request-Id"))
	require.NotZero(t, logs.FilterMessage("slow statement").FilterField(mine).Len())
}

func TestAPanicIsA500ThatTheLogHas(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.ErrorLevel)
	log := zap.New(core)
	h := &handler{log: log, outage: newOutageLog(log), mux: http.NewServeMux()}
	h.mux.HandleFunc("GET /things/{id}", func(http.ResponseWriter, *http.Request) { panic("out of order") })
	h.mux.HandleFunc("GET /abort", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	resp, body := ask(t, http.MethodGet, s.URL+"/things/"+secret, "")
	require.Equal(t, http.StatusInternalServerError, resp.StatusCode, body)
	require.Equal(t, problemMedia, resp.Header.Get("Content-Type"))
	require.Contains(t, body, resp.Header.Get("X-Request-Id"))
	require.NotContains(t, body, "out of order")
	require.Equal(t, 1, logs.Len())
	line := logs.All()[0].ContextMap()
	require.Equal(t, "out of order", line["panic"])
	require.Equal(t, "GET /things/{id}", line["route"])
	require.Equal(t, resp.Header.Get("X-Request-Id"), line["request_id"])

	resp2, err := http.Get(s.URL + "/abort") // net/http's way to drop a connection
	if err == nil {
		_ = resp2.Body.Close()
	}
	require.Error(t, err)
	require.Equal(t, 1, logs.Len())
}

// Clients of a server with tenant.Middleware distinguish problems as clients of the agency server do.
func TestTheMiddlewareOfPackageTenantAnswersAsTheServerDoes(t *testing.T) {
	t.Parallel()
	header := tenant.Header(tenantHeader)
	for _, c := range []struct {
		want    class
		resolve func(*http.Request) (tenant.Identity, error)
		headers []string
	}{
		{tenantRequired, header, nil},
		{tenantInvalid, header, []string{"acme", "globex"}},
		{internal, tenant.Host("https://agency.example"), nil},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		for _, v := range c.headers {
			r.Header.Add(tenantHeader, v)
		}
		w := httptest.NewRecorder()
		tenant.Middleware(c.resolve)(http.NotFoundHandler()).ServeHTTP(w, r)
		var got problem
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
		require.Equal(t, c.want, class{strings.TrimPrefix(got.Type, problemPath), w.Code, got.Title})
		require.Equal(t, problemMedia, w.Header().Get("Content-Type"))
	}
}
