package migrate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"
	"go.uber.org/zap"
)

// ErrChanged is the error for a migration whose text has changed since the migration was
// applied.
var ErrChanged = errors.New("the text of the migration has changed since the start applied the migration")

// sumsTable keeps the sums of the applied migrations. Every source has a table of its own, like
// the version table: different roles may migrate the sources.
func (s Source) sumsTable() string { return Schema + "." + s.Name + "_sums" }

// sum ignores the form of line ends: a checkout may change line ends.
func (s Source) sum(file string) (string, error) {
	text, err := fs.ReadFile(s.FS, file)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")))
	return hex.EncodeToString(sum[:]), nil
}

// checkSums compares the files of the applied migrations with the recorded sums, and records
// missing sums: of migrations just applied, and of a database older than the sums. checkSums
// ignores missing files, because an older program lacks the files of newer migrations.
//
// checkSums uses the second session, because a migration may have left the first session with
// another role or search_path. A role without the right to keep sums migrates without sums, as
// before the introduction of sums.
//
// checkSums reports whether every migration is applied and has a recorded sum.
func (r *run) checkSums(ctx context.Context, s Source, p *goose.Provider) (applied bool, err error) {
	conn, err := r.aside(ctx)
	if err != nil {
		return false, err
	}
	applied, err = s.compare(ctx, conn, p.ListSources())
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.Code == "42501" {
		r.log.Warn("the start does not check applied migrations for changes: grant the role the right that the error names",
			zap.String("source", s.Name), zap.Error(err))
		return false, nil
	}
	return applied, err
}

func (s Source) compare(ctx context.Context, conn *pgx.Conn, all []*goose.Source) (allApplied bool, err error) {
	known, err := s.sums(ctx, conn)
	if err != nil {
		return false, fmt.Errorf("%s: %w", s.sumsTable(), err)
	}
	applied, err := s.applied(ctx, conn)
	if err != nil {
		return false, fmt.Errorf("%s: %w", s.VersionTable(), err)
	}
	allApplied = true
	for _, m := range all {
		if !applied[m.Version] {
			allApplied = false
			if known[m.Version] != "" { // somebody has undone the migration
				if _, err := conn.Exec(ctx, "delete from "+s.sumsTable()+" where version_id = $1", m.Version); err != nil {
					return false, fmt.Errorf("%s: %w", s.sumsTable(), err)
				}
			}
			continue
		}
		sum, err := s.sum(m.Path)
		if err != nil {
			return false, err
		}
		switch known[m.Version] {
		case sum:
		case "":
			if _, err := conn.Exec(ctx, "insert into "+s.sumsTable()+" (version_id, file, sha256) values ($1, $2, $3)",
				m.Version, m.Path, sum); err != nil {
				return false, fmt.Errorf("%s: %w", s.sumsTable(), err)
			}
		default:
			return false, fmt.Errorf("%s: %w: restore the text, and write a new migration (or, if the change has no effect, delete version %d from %s)",
				m.Path, ErrChanged, m.Version, s.sumsTable())
		}
	}
	return allApplied, nil
}

// applied returns the versions that goose has recorded.
func (s Source) applied(ctx context.Context, conn *pgx.Conn) (map[int64]bool, error) {
	var exists bool
	if err := conn.QueryRow(ctx, "select to_regclass($1) is not null", s.VersionTable()).Scan(&exists); err != nil || !exists {
		return nil, err
	}
	rows, err := conn.Query(ctx, "select distinct version_id from "+s.VersionTable())
	if err != nil {
		return nil, err
	}
	versions := make(map[int64]bool)
	var version int64
	_, err = pgx.ForEachRow(rows, []any{&version}, func() error {
		versions[version] = true
		return nil
	})
	return versions, err
}

// sums returns the recorded sums by version, and makes the table if missing.
func (s Source) sums(ctx context.Context, conn *pgx.Conn) (map[int64]string, error) {
	var exists bool
	if err := conn.QueryRow(ctx, "select to_regclass($1) is not null", s.sumsTable()).Scan(&exists); err != nil {
		return nil, err
	}
	known := make(map[int64]string)
	if !exists {
		_, err := conn.Exec(ctx, "create table "+s.sumsTable()+" (version_id bigint primary key, file text not null, sha256 text not null, recorded_at timestamptz not null default now())")
		if err == nil {
			_, err = protect(ctx, conn)
		}
		return known, err
	}
	rows, err := conn.Query(ctx, "select version_id, sha256 from "+s.sumsTable())
	if err != nil {
		return nil, err
	}
	var version int64
	var sum string
	_, err = pgx.ForEachRow(rows, []any{&version, &sum}, func() error {
		known[version] = sum
		return nil
	})
	return known, err
}

// forgetSums drops the sums of a source after Down.
func (r *run) forgetSums(ctx context.Context, s Source) error {
	conn, err := r.aside(ctx)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "drop table if exists "+s.sumsTable())
	return err
}
