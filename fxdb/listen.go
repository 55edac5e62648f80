package fxdb

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Listen subscribes to channels. All subscriptions of a pool, whichever client asks, share
// one connection outside the pool: no limit and no share of a client counts the connection.
// The listener opens the connection for the first subscription, and closes the connection after
// the last subscription. pg_stat_activity shows the connection as "application/listen".
//
// Listen returns when the server has confirmed the channels. Next returns every notification
// that is committed later.
//
// If the connection is lost, the listener connects again, with a growing wait between the
// attempts. Then Next returns a Notification with Gap set, and later notifications follow.
//
// Listen waits as long as for a connection of the pool (DB_CONNECTION_TIMEOUT_MS) and as
// ctx lasts. Channels belong to the database and not to a tenant: Listen fails with
// ErrTenantNotCarried for an identity in ctx, and a client with RequireTenant needs
// tenant.System. Behind a transaction pooler Listen fails with ErrNeedsSession.
func (db *DB) Listen(ctx context.Context, channels ...string) (*Subscription, error) {
	s, err := db.scopeOf(ctx)
	switch {
	case err != nil:
		return nil, err
	case s.HasTenant():
		return nil, ErrTenantNotCarried
	case db.core.cfg.pooled():
		return nil, ErrNeedsSession
	case len(channels) == 0:
		return nil, errors.New("fxdb: listen: name a channel")
	}
	for _, channel := range channels {
		if err := checkChannel(channel); err != nil {
			return nil, err
		}
	}
	if optionErr := db.client.optionErr.Load(); optionErr != nil {
		return nil, *optionErr
	}
	return db.core.listener.subscribe(ctx, channels)
}

// Notify sends payload to the subscribers of channel, as one statement: with an identity in
// ctx in the tenant's scope. In a transaction run "select pg_notify($1, $2)" on the
// transaction instead: subscribers get the notification when the transaction commits. The
// server refuses a payload of 8000 bytes or more.
func (db *DB) Notify(ctx context.Context, channel, payload string) error {
	if err := checkChannel(channel); err != nil {
		return err
	}
	if _, err := db.Exec(ctx, "select pg_notify($1::text, $2::text)", channel, payload); err != nil {
		return fmt.Errorf("notify %q: %w", channel, err)
	}
	return nil
}

// checkChannel refuses names that LISTEN would cut off without an error.
func checkChannel(name string) error {
	switch {
	case name == "":
		return errors.New("fxdb: a channel has an empty name")
	case len(name) > 63:
		return fmt.Errorf("fxdb: the name of channel %q is longer than 63 bytes: shorten the name", name)
	case strings.ContainsRune(name, 0):
		return fmt.Errorf("fxdb: the name of channel %q holds a NUL byte", name)
	}
	return nil
}
