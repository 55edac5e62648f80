package testkit

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// Main runs the tests of a TestMain. While Main runs tests one after another, testkit opens
// the pool of the next test ahead. On a server of the user's own, Main then drops the
// databases that testkit made ahead, and the databases of the last tests. Main keeps the
// databases of failed tests, and the templates. Main returns the exit code of m.Run:
//
//	func TestMain(m *testing.M) { testkit.Main(m) }
//
// Without Main, the next test binary on the same server drops the databases. A throwaway
// server ends together with the databases.
func Main(m interface{ Run() int }) int {
	opensAhead.Store(true)
	code := m.Run()
	opensAhead.Store(false)
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := closeServers(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "testkit: clean up: %v\n", err)
	}
	return code
}

func closeServers(ctx context.Context) error {
	var errs []error
	servers.Range(func(_, connect any) bool {
		s, err := connect.(func() (*server, error))()
		if err != nil {
			return true // the tests have reported the error
		}
		errs = append(errs, s.ahead.close(ctx))
		s.admin.close(ctx)
		return true
	})
	return errors.Join(errs...)
}
