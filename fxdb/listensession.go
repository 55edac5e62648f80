package fxdb

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// listenSession is a connection of the listener. A goroutine reads while the listener's
// goroutine writes: pgx could write only after a deadline had ended the read.
type listenSession struct {
	l       *listener
	wire    *pgconn.HijackedConn
	on      map[string]bool // channels that the server listens to
	answers chan error      // buffered 1: to the text that was sent
	lost    chan error      // buffered 1: the connection ended
	reader  sync.WaitGroup

	heard map[*Subscription]bool // subscriptions that know of this session; l.mu guards heard
}

func newListenSession(l *listener, wire *pgconn.HijackedConn) *listenSession {
	s := &listenSession{l: l, wire: wire, on: make(map[string]bool),
		answers: make(chan error, 1), lost: make(chan error, 1), heard: make(map[*Subscription]bool)}
	s.reader.Go(func() { s.lost <- s.read() })
	return s
}

func (s *listenSession) serve(ctx context.Context) error {
	for {
		subs := s.l.subscriptions()
		if len(subs) == 0 {
			return nil
		}
		if err := s.listen(ctx, subs); err != nil {
			return err
		}
		select {
		case <-s.l.changes:
		case err := <-s.lost:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// close ends the session on the server, and the reader.
func (s *listenSession) close() {
	if goodbye, err := (&pgproto3.Terminate{}).Encode(nil); err == nil {
		_ = s.write(goodbye) // the server notices the end of the connection too
	}
	s.wire.Conn.Close()
	s.reader.Wait()
}

func (s *listenSession) write(message []byte) error {
	if err := s.wire.Conn.SetWriteDeadline(time.Now().Add(s.l.timeout)); err != nil {
		return err
	}
	_, err := s.wire.Conn.Write(message)
	return err
}

// read delivers notifications until the connection ends.
func (s *listenSession) read() error {
	var failed error // the server's answer to the text
	for {
		message, err := s.wire.Frontend.Receive()
		if err != nil {
			if failed != nil {
				return failed // the server's reason for the end
			}
			return err
		}
		switch m := message.(type) {
		case *pgproto3.NotificationResponse:
			s.deliver(Notification{Channel: m.Channel, Payload: m.Payload})
		case *pgproto3.ErrorResponse:
			failed = pgconn.ErrorResponseToPgError(m)
		case *pgproto3.ReadyForQuery:
			s.answers <- failed
			failed = nil
		}
	}
}

// deliver passes a notification to the subscriptions in heard. Subscriptions outside heard
// receive a gap when the server has confirmed the channels.
func (s *listenSession) deliver(n Notification) {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	for sub := range s.l.subs {
		if s.heard[sub] && sub.channels[n.Channel] {
			sub.deliver(n)
		}
	}
}

// listen sends the server the difference between on and the channels of subs, in one round
// trip. listen then notifies the subscriptions that are new to the session.
func (s *listenSession) listen(ctx context.Context, subs []*Subscription) error {
	want := channelsOf(subs)
	if text := changeOf(s.on, want); text != "" {
		if err := s.run(ctx, text); err != nil {
			return err
		}
	}
	s.on = want
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	s.l.connected, s.l.failure = true, nil
	for _, sub := range subs {
		if !s.heard[sub] {
			s.heard[sub] = true
			sub.listening()
		}
	}
	return nil
}

// run sends a text and waits for the server's answer.
func (s *listenSession) run(ctx context.Context, text string) error {
	query, err := (&pgproto3.Query{String: text}).Encode(nil)
	if err != nil {
		return err
	}
	if err := s.write(query); err != nil {
		return err
	}
	patience := time.NewTimer(s.l.timeout)
	defer patience.Stop()
	select {
	case err := <-s.answers:
		return err
	case err := <-s.lost:
		return err
	case <-patience.C:
		return errors.New("the server does not answer to LISTEN")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// changeOf returns the text that turns on into want.
func changeOf(on, want map[string]bool) string {
	var text strings.Builder
	for channel := range on {
		if !want[channel] {
			text.WriteString("unlisten " + pgx.Identifier{channel}.Sanitize() + ";")
		}
	}
	for channel := range want {
		if !on[channel] {
			text.WriteString("listen " + pgx.Identifier{channel}.Sanitize() + ";")
		}
	}
	return text.String()
}

func channelsOf(subs []*Subscription) map[string]bool {
	all := make(map[string]bool)
	for _, s := range subs {
		maps.Copy(all, s.channels)
	}
	return all
}
