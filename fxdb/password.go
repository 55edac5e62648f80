package fxdb

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/singleflight"

	"github.com/agentagency/onepool/lifecycle"
)

// PasswordSource gives the password of a new connection: a secret store's, or a
// token of limited life. Provide one to the fx graph, or give it to Open with
// WithPasswordSource. It is asked for every new connection, migrations as the
// pool's own role included, by one caller at a time; so credentials may rotate
// without a restart. Connections that are open stay. An error fails the attempt
// to connect, and so does a panic; neither may hold a secret. Line breaks at the
// end of a password are dropped.
type PasswordSource func(ctx context.Context) (string, error)

// passwordFile reads DB_PASSWORD_FILE anew each time.
func passwordFile(name string) PasswordSource {
	return func(context.Context) (string, error) {
		b, err := os.ReadFile(name)
		if err != nil {
			return "", &ConfigError{"DB_PASSWORD_FILE", "can't be read: " + err.Error()}
		}
		return string(b), nil
	}
}

// of names the settings in the source's errors as those of a pool.
func (source PasswordSource) of(pool string) PasswordSource {
	return func(ctx context.Context) (string, error) {
		password, err := source(ctx)
		return password, prefixed(settingsPrefix(pool), err)
	}
}

// beforeConnect asks the source. Connections that are opened at the same time
// share one answer.
func (source PasswordSource) beforeConnect() func(context.Context, *pgx.ConnConfig) error {
	var flight singleflight.Group
	return func(ctx context.Context, cc *pgx.ConnConfig) error {
		result := flight.DoChan("", func() (_ any, err error) {
			// The answer is for others too, so one caller's end must not fail it;
			// the time to connect bounds it. connect_timeout=0 says that there is none.
			within := cc.ConnectTimeout
			if within <= 0 {
				within = lifecycle.DefaultAcquireTimeout
			}
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
			defer cancel()
			// This goroutine is nobody's: a panic here could not be caught by a caller.
			defer func() {
				if r := recover(); r != nil {
					err = fmt.Errorf("it panicked: %v", r)
				}
			}()
			password, err := source(ctx)
			return strings.TrimRight(password, "\r\n"), err
		})
		select {
		case r := <-result:
			if r.Err != nil {
				return fmt.Errorf("fxdb: ask the password source: %w", r.Err)
			}
			cc.Password = r.Val.(string)
			return nil
		case <-ctx.Done():
			return fmt.Errorf("fxdb: ask the password source: %w", ctx.Err())
		}
	}
}
