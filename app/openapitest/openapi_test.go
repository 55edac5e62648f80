package openapitest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/stretchr/testify/require"
)

func readDescription(t *testing.T) *openapi3.T {
	t.Helper()
	raw, err := os.ReadFile("../openapi.yaml")
	require.NoError(t, err)
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	require.NoError(t, err)
	return doc
}

func TestTheDescriptionIsValidOpenAPI(t *testing.T) {
	t.Parallel()
	require.NoError(t, readDescription(t).Validate(t.Context()))
}

// operation is one method of a path.
type operation struct {
	method, path string
	item         *openapi3.PathItem
	*openapi3.Operation
}

// operations are those of a tenant, in one order.
func operations(doc *openapi3.T) (all []operation) {
	paths := doc.Paths.Map()
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		methods := paths[path].Operations()
		for _, method := range slices.Sorted(maps.Keys(methods)) {
			if op := methods[method]; op.Security == nil {
				all = append(all, operation{method, path, paths[path], op})
			}
		}
	}
	return all
}

// made is a request that was made at random.
type made struct {
	operation
	url        string
	parameters map[string]string // of the path
	body       []byte
	media      string
	tenant     string
}

func (m made) String() string {
	return fmt.Sprintf("%s %s as %s, %s: %.400q", m.method, m.url, m.tenant, m.media, m.body)
}

func (g *generator) request(op operation) made {
	m := made{operation: op, url: op.path, parameters: map[string]string{}, tenant: pick(g, []string{"acme", "globex"})}
	g.tenant = m.tenant
	query := url.Values{}
	for _, p := range slices.Concat(op.item.Parameters, op.Parameters) {
		p := p.Value
		switch p.In {
		case "path":
			g.about = collectionBefore(op.path, p.Name)
			text := fmt.Sprint(g.value(p.Name, p.Schema.Value))
			switch text {
			case ".", "..":
				text = "dots" // clients take these out of a path
			case "stats":
				text = "statistics" // the path is another operation's
			}
			m.parameters[p.Name] = text
			m.url = strings.ReplaceAll(m.url, "{"+p.Name+"}", url.PathEscape(text))
		case "query":
			if p.Required || g.chance(30) {
				value := g.value(p.Name, p.Schema.Value)
				if g.chance(15) {
					value = g.replace(value)
				}
				list, ok := value.([]any)
				if !ok {
					list = []any{value}
				}
				for _, one := range list {
					query.Add(p.Name, fmt.Sprint(one))
				}
			}
		}
	}
	if len(query) > 0 {
		m.url += "?" + query.Encode()
	}
	g.about = ""
	if op.RequestBody != nil {
		m.media = "application/json"
		body := g.value("", op.RequestBody.Value.Content.Get(m.media).Schema.Value)
		if g.chance(35) {
			m.body = g.spoil(body)
		} else {
			m.body, _ = json.Marshal(body)
		}
		if g.chance(2) {
			m.media = pick(g, []string{"", "text/plain", "application/x-www-form-urlencoded"})
		}
	}
	return m
}

// count is how many requests are made.
func count() int {
	if n, err := strconv.Atoi(os.Getenv("OPENAPI_REQUESTS")); err == nil {
		return n
	}
	if testing.Short() {
		return 500
	}
	return 3000
}

// OPENAPI_SEED makes other requests, OPENAPI_REQUESTS more or less of them.
func TestNoGeneratedRequestGetsA5xxOrAnAnswerOutsideTheDescription(t *testing.T) {
	t.Parallel()
	doc, server := readDescription(t), startServer(t)
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv("OPENAPI_SEED"), "21"), 10, 64)
	require.NoError(t, err)
	g, ops := newGenerator(seed), operations(doc)
	require.Greater(t, len(ops), 60)

	found, statuses, succeeded := map[string]int{}, map[int]int{}, map[string]bool{}
	for i := range count() {
		op := ops[i%len(ops)]
		m := g.request(op)
		status, faults := g.send(t, doc, server, m)
		statuses[status]++
		if status < 300 {
			succeeded[op.OperationID] = true
		}
		for _, fault := range faults {
			kind := fmt.Sprintf("%s: %.300s", op.OperationID, fault)
			if found[kind]++; found[kind] == 1 && len(found) <= 40 {
				t.Errorf("seed %d, request %d: %s\n%s", seed, i, fault, m)
			}
		}
	}
	t.Logf("answers by status: %v; %d of %d operations succeeded; %d kinds of faults", statuses, len(succeeded), len(ops), len(found))
	for _, op := range ops {
		if !succeeded[op.OperationID] {
			t.Logf("never succeeded: %s", op.OperationID)
		}
	}
	require.Greater(t, len(succeeded), len(ops)*2/3, "the generator makes requests that mean something")
}

// send sends a request, and returns what is wrong with the answer.
func (g *generator) send(t *testing.T, doc *openapi3.T, server string, m made) (status int, faults []string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), m.method, server+m.url, bytes.NewReader(m.body))
	require.NoError(t, err)
	r.Header.Set("X-Tenant-ID", m.tenant)
	if m.media != "" {
		r.Header.Set("Content-Type", m.media)
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(t, err)

	if resp.StatusCode < 300 {
		for name, text := range m.parameters {
			g.remember(m.tenant+" "+name, text)
		}
		for _, raw := range [][]byte{m.body, answer} {
			var v any
			if json.Unmarshal(raw, &v) == nil {
				g.learn(m.tenant, collectionOf(m.path), v)
			}
		}
	}
	if resp.StatusCode >= 500 {
		faults = append(faults, fmt.Sprintf("%d %s", resp.StatusCode, answer))
	}
	r.Body = io.NopCloser(bytes.NewReader(m.body))
	options := &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true, SkipSettingDefaults: true}
	request := &openapi3filter.RequestValidationInput{
		Request: r, PathParams: m.parameters, Options: options,
		Route: &routers.Route{Spec: doc, Path: m.path, PathItem: m.item, Method: m.method, Operation: m.Operation},
	}
	if err := openapi3filter.ValidateRequest(t.Context(), request); err != nil && resp.StatusCode < 300 {
		faults = append(faults, fmt.Sprintf("the description refuses the request, the server took it (%d): %v", resp.StatusCode, err))
	}
	response := &openapi3filter.ResponseValidationInput{RequestValidationInput: request, Status: resp.StatusCode, Header: resp.Header, Options: options}
	response.SetBodyBytes(answer)
	if err := openapi3filter.ValidateResponse(t.Context(), response); err != nil {
		faults = append(faults, fmt.Sprintf("the answer is not as described: %v: %.300s", err, answer))
	}
	return resp.StatusCode, faults
}
