// Package faultproxy is the network between a pool and a server in tests: a TCP port that
// passes connections on, and fails on demand.
package faultproxy
