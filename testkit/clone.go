package testkit

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/fxdb/devdb"
)

// clone makes a database from the template.
func (s *server) clone(ctx context.Context, name, template string) error {
	sql := "create database " + name + " template " + template + " owner " + devdb.RoleOwner + s.strategy()
	create := func() error {
		return s.admin.do(ctx, func(conn *pgx.Conn) error {
			if err := s.chooseMethod(ctx, conn); err != nil {
				return err
			}
			_, err := conn.Exec(ctx, sql)
			return err
		})
	}
	err := retryInUse(ctx, create)
	// An errno without an SQLSTATE of its own: the server can clone files, the file system can't.
	if hasCode(err, "XX000") && s.reflinks.CompareAndSwap(true, false) {
		err = retryInUse(ctx, create)
	}
	return err
}

// strategy is the strategy of CREATE DATABASE.
func (s *server) strategy() string {
	if s.fast {
		return " strategy file_copy"
	}
	return ""
}

// chooseMethod has the strategy file_copy clone files, since PostgreSQL 18: a file system with
// reflinks shares the blocks of a large template.
func (s *server) chooseMethod(ctx context.Context, conn *pgx.Conn) error {
	if !s.fast || !s.clonesFiles {
		return nil
	}
	method := "copy"
	if s.reflinks.Load() {
		method = "clone"
	}
	_, err := conn.Exec(ctx, "set file_copy_method = "+method)
	return err
}
