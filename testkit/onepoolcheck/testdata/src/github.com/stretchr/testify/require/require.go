// Package require stands in for the real one in the cases of the rules.
package require

type TestingT interface {
	Errorf(format string, args ...interface{})
	FailNow()
}

func Error(t TestingT, err error, msgAndArgs ...interface{})                 {}
func ErrorIs(t TestingT, err error, target error, msgAndArgs ...interface{}) {}
func NoError(t TestingT, err error, msgAndArgs ...interface{})               {}
func True(t TestingT, value bool, msgAndArgs ...interface{})                 {}
func False(t TestingT, value bool, msgAndArgs ...interface{})                {}
