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

// PasswordSource returns the password of a new connection: from a secret store, or a token
// of limited life. Provide a PasswordSource to the fx graph, or give a PasswordSource to
// [Open] with [WithPasswordSource].
//
// The pool calls the source for every new connection, the connections of migrations as the
// pool's own role included. A single caller at a time calls the source. Credentials may
// rotate without a restart, and open connections stay open. An error or a panic fails the
// attempt to connect; neither may hold a secret. The pool drops line breaks at the end of
// a password.
type PasswordSource func(ctx context.Context) (string, error)

// passwordFile reads DB_PASSWORD_FILE anew each time.
func passwordFile(name string) PasswordSource {
	return func(context.Context) (string, error) {
		b, err := os.ReadFile(name)
		if err != nil {
			return "", &ConfigError{Setting: "DB_PASSWORD_FILE", Reason: "can't be read: " + err.Error()}
		}
		return string(b), nil
	}
}

// passwordSource returns the source of an option or of DB_PASSWORD_FILE, or nil if the
// configuration holds the password. A file that can't be read fails the configuration.
func (c Config) passwordSource(option PasswordSource) (PasswordSource, error) {
	switch {
	case c.PasswordFile == "":
		return option, nil
	case option != nil:
		return nil, &ConfigError{Setting: "DB_PASSWORD_FILE", Reason: "is set, and the graph or Open has a PasswordSource: use one of the two"}
	case given(c.URL, "password"):
		return nil, nil
	}
	file := passwordFile(c.PasswordFile).of(c.pool)
	_, err := file(context.Background())
	return file, err
}

// of adds the prefix of pool to the settings that the source's errors name.
func (source PasswordSource) of(pool string) PasswordSource {
	return func(ctx context.Context) (string, error) {
		password, err := source(ctx)
		return password, prefixed(settingsPrefix(pool), err)
	}
}

// beforeConnect calls the source. Connections that the pool opens at the same time share
// an answer.
func (source PasswordSource) beforeConnect() func(context.Context, *pgx.ConnConfig) error {
	var flight singleflight.Group
	return func(ctx context.Context, cc *pgx.ConnConfig) error {
		result := flight.DoChan("", func() (_ any, err error) {
			// Several connections share the answer, so the end of a caller's context must
			// not fail the call. The time to connect bounds the call. connect_timeout=0 is
			// no bound.
			within := cc.ConnectTimeout
			if within <= 0 {
				within = lifecycle.DefaultAcquireTimeout
			}
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
			defer cancel()
			// No caller can recover a panic of singleflight's goroutine.
			defer func() {
				if r := recover(); r != nil {
					err = fmt.Errorf("the password source panicked: %v", r)
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
