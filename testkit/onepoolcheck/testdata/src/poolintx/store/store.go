// Package store is another package than that of the cases: facts cross packages.
package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/fxdb"
)

type Store struct{ DB *fxdb.DB }

func (s *Store) Load(ctx context.Context) error {
	_, err := s.DB.Exec(ctx, "")
	return err
}

func (s *Store) LoadIn(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, "")
	return err
}

func (s *Store) WithTx(ctx context.Context, fn func(pgx.Tx) error) error {
	return s.DB.InTx(ctx, pgx.TxOptions{}, fn)
}

func Count(ctx context.Context, db *fxdb.DB) error { return db.QueryRow(ctx, "").Scan() }
