package main

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

func TestTheFrontDoorsLinksAndCallsWork(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	s := newServer(t, testkit.Swap(t))
	resp, page := ask(t, http.MethodGet, s.URL+"/", "")
	require.Equal(t, http.StatusOK, resp.StatusCode, page)
	require.Equal(t, "text/html; charset=utf-8", resp.Header.Get("Content-Type"))
	require.Contains(t, resp.Header.Get("Content-Security-Policy"), "default-src 'none'")
	links := regexp.MustCompile(`href="(/[^"]*)"`).FindAllStringSubmatch(page, -1)
	require.Len(t, links, 5)
	for _, link := range links {
		resp, _ := ask(t, http.MethodGet, s.URL+link[1], "")
		require.Equal(t, http.StatusOK, resp.StatusCode, link[1])
	}
	calls := regexp.MustCompile(`<code>curl (\S+) -H 'X-Tenant-ID: (\w+)'(?: --json '(.*)')?</code>`).FindAllStringSubmatch(page, -1)
	require.Len(t, calls, 2)
	for i, want := range []struct {
		method string
		status int
	}{{http.MethodPost, http.StatusCreated}, {http.MethodGet, http.StatusNotFound}} {
		url := "http://" + calls[i][1]
		require.True(t, strings.HasPrefix(url, s.URL), url)
		status, body := call(t, want.method, url, calls[i][2], calls[i][3])
		require.Equal(t, want.status, status, body)
	}
}

func TestTheFrontDoorPrintsNoHostThatAShellWouldRun(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Host = "$(reboot)"
	w := httptest.NewRecorder()
	frontDoor(w, r)
	require.NotContains(t, w.Body.String(), "reboot")
	require.Contains(t, w.Body.String(), "curl "+defaultAddress+"/agents")
}
