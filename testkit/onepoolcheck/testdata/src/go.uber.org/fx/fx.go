// Package fx stands in for the real one in the cases of the rules.
package fx

import "context"

type Option interface{}

type Annotation interface{}

type Annotated struct {
	Name   string
	Group  string
	Target interface{}
}

type Hook struct {
	OnStart func(context.Context) error
	OnStop  func(context.Context) error
}

type Lifecycle interface{ Append(Hook) }

func Provide(constructors ...interface{}) Option             { return nil }
func Decorate(decorators ...interface{}) Option              { return nil }
func Invoke(funcs ...interface{}) Option                     { return nil }
func Supply(values ...interface{}) Option                    { return nil }
func Annotate(t interface{}, anns ...Annotation) interface{} { return nil }
func ResultTags(tags ...string) Annotation                   { return nil }
func StartHook[T HookFunc](start T) Hook                     { return Hook{} }

type HookFunc interface {
	~func() | ~func() error | ~func(context.Context) | ~func(context.Context) error
}
