package main

import (
	_ "embed"
	"html/template"
	"net/http"
	"regexp"
)

//go:embed frontdoor.html
var frontDoorText string

var frontDoorPage = template.Must(template.New("frontdoor").Parse(frontDoorText))

// plainHost matches a host that a reader can paste safely into a shell.
var plainHost = regexp.MustCompile(`^[A-Za-z0-9.:\[\]-]+$`)

// frontDoor describes the server, and links to every other page.
func frontDoor(w http.ResponseWriter, r *http.Request) {
	host := r.Host
	if !plainHost.MatchString(host) {
		host = defaultAddress
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'")
	_ = frontDoorPage.Execute(w, struct{ Host string }{host})
}
