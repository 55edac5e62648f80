package faultproxy

import (
	"net"
	"time"
)

// CutOnce resets every connection. New connections pass.
func (p *Proxy) CutOnce() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.clients {
		reset(c)
	}
}

// Freeze holds all data back, in both directions, until Restore.
func (p *Proxy) Freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.thaw()
	p.thawed = make(chan struct{})
}

// thaw ends a freeze. The caller holds p.mu.
func (p *Proxy) thaw() {
	select {
	case <-p.thawed:
	default:
		close(p.thawed)
	}
}

// Delay has each piece of the server's data come later.
func (p *Proxy) Delay(by time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = by
}

// The states of a lost answer: the next data of the client is the statement, and the next
// data of the server after the statement is the answer.
const (
	losesNothing = iota
	waitsForStatement
	waitsForAnswer
)

// LoseAnswer resets the client's connection instead of passing the answer to the client's
// next data. client is the client's own address of the connection.
func (p *Proxy) LoseAnswer(client net.Addr) { p.lose(client, waitsForStatement) }

// KeepAnswer takes LoseAnswer back.
func (p *Proxy) KeepAnswer(client net.Addr) { p.lose(client, losesNothing) }

func (p *Proxy) lose(client net.Addr, state int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c, l := range p.clients {
		if c.RemoteAddr().String() == client.String() {
			l.loses.Store(state)
		}
	}
}
