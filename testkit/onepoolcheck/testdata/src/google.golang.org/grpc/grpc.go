// Package grpc stands in for the real one in the cases of the rules.
package grpc

type CallOption interface{}
