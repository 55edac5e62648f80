package store

import (
	"context"

	"github.com/agentagency/onepool/fxdb"
)

type Store struct{ db *fxdb.DB }

func New(db *fxdb.DB) *Store { return &Store{db} }

func NewAndCheck(db *fxdb.DB) (*Store, error) {
	s := &Store{db: db}
	return s, s.check()
}

func (s *Store) check() error { return s.db.Ping(context.Background()) }
