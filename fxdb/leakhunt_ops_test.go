package fxdb_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// What the hunt asks for: whose row it is, what is in it, and as whom the server
// ran the statement. The token distinguishes the answers.
const (
	settingsColumn = `coalesce(current_setting('app.current_tenant', true), '') || '/' || coalesce(current_setting('app.current_user', true), '')`
	huntSettings   = `select ` + settingsColumn + `, $1::text`
	huntColumns    = `tenant_id, body, ` + settingsColumn + `, $1::text`
	huntRow        = `select ` + huntColumns + ` from notes.notes where id = $2::bigint`
	huntRows       = `select ` + huntColumns + ` from notes.notes where id % 4 = 0 order by id limit 12`
	huntMany       = `select ` + huntColumns + ` from notes.notes, generate_series(1, 5)`
	huntUpdate     = `update notes.notes set body = $1 where id = $2::bigint`
	huntInsert     = `insert into notes.notes (body) values ($2::text) returning ` + huntColumns
	huntForge      = `insert into notes.notes (tenant_id, body) values ($3::text, $2::text) returning ` + huntColumns
	huntDelete     = `delete from notes.notes where id >= 1000 and body like $2::text returning ` + huntColumns
	huntSession    = `(select count(*) from pg_class where relnamespace = pg_my_temp_schema()) || ' ' || (select count(*) from pg_cursors where is_holdable) || ' ' || current_setting('role')`
	huntKill       = `select count(pg_terminate_backend(pid)) from (
		select pid from pg_stat_activity where datname = current_database() and usename = current_user and pid <> pg_backend_pid()
		order by random() limit 1) as other`
)

// asker is what statements are sent through: the pool or a transaction.
type asker interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
	CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, src pgx.CopyFromSource) (int64, error)
}

// huntOperations are what there is to do, and how often.
var huntOperations = []struct {
	name   string
	weight int
	do     func(h *hunter) error
}{
	{"QueryRow", 2500, func(h *hunter) error { return h.row(h.db) }},
	{"QueryRow of settings", 1500, func(h *hunter) error { return h.setting(h.db) }},
	{"Query", 800, func(h *hunter) error { return h.all(h.db) }},
	{"Query closed early", 300, func(h *hunter) error { return h.some(h.db) }},
	{"Exec", 1200, func(h *hunter) error { return h.update(h.db) }},
	{"insert", 300, func(h *hunter) error { return h.insert(h.db) }},
	{"delete", 300, func(h *hunter) error { return h.remove(h.db) }},
	{"SendBatch", 900, func(h *hunter) error { return h.batch(h.db) }},
	{"SendBatch that fails", 200, func(h *hunter) error { return h.failingBatch(h.db) }},
	{"SendBatch whose callback panics", 40, (*hunter).panickingBatch},
	{"SendBatch that begins", 100, (*hunter).beginningBatch},
	{"InTx", 500, (*hunter).inTx},
	{"InTx that panics", 40, (*hunter).panickingTx},
	{"Begin", 300, (*hunter).begin},
	{"CopyFrom", 100, func(h *hunter) error { return h.copyFrom(h.db) }},
	{"several statements", 50, (*hunter).several},
	{"session SET", 20, (*hunter).setSession},
	{"leftover", 20, (*hunter).leave},
	{"look for leftovers", 200, func(h *hunter) error { return h.lookAtSession(h.db) }},
	{"database/sql QueryRow", 400, (*hunter).rowBySQL},
	{"database/sql Tx", 200, (*hunter).txBySQL},
	{"raw pool", 400, (*hunter).raw},
	{"raw pool, settings", 200, (*hunter).rawSettings},
	{"raw pool, a transaction", 100, (*hunter).rawTx},
	{"raw pool, a connection that panics", 40, (*hunter).rawPanic},
	{"raw pool, another tenant on the connection", 40, (*hunter).rawMismatch},
	{"error", 600, (*hunter).failing},
	{"kill", 12, func(h *hunter) error { var n int; return h.db.QueryRow(h.ctx, huntKill).Scan(&n) }},
}

var huntWeights = func() (sum int) {
	for _, op := range huntOperations {
		sum += op.weight
	}
	return sum
}()

// row reads the worker's own row, which nobody must not see.
func (h *hunter) row(a asker) error {
	token := h.token()
	return h.notNobody(h.look(a.QueryRow(h.ctx, huntRow, h.options(token, h.id)...), token))
}

// notNobody expects that nobody gets no row.
func (h *hunter) notNobody(err error) error {
	if h.tenant == "" && errors.Is(err, sql.ErrNoRows) { // pgx.ErrNoRows is one
		return nil
	}
	return err
}

func (h *hunter) setting(a asker) error {
	token := h.token()
	return h.lookAtSettings(a.QueryRow(h.ctx, huntSettings, h.options(token)...), token)
}

func (h *hunter) all(a asker) error {
	token := h.token()
	rows, err := a.Query(h.ctx, huntRows, h.options(token)...)
	if err != nil {
		return err
	}
	n, err := h.lookAtAll(rows, token, math.MaxInt)
	return h.counted(n, huntWorkers/4, err)
}

// counted expects so many rows at least, none for nobody.
func (h *hunter) counted(n, least int, err error) error {
	if err == nil && (n < least) == (h.tenant != "") {
		return fmt.Errorf("WRONG: %d rows for %q", n, h.tenant)
	}
	return err
}

func (h *hunter) some(a asker) error {
	token := h.token()
	rows, err := a.Query(h.ctx, huntMany, h.options(token)...)
	if err != nil {
		return err
	}
	_, err = h.lookAtAll(rows, token, h.rnd.IntN(3))
	return err
}

func (h *hunter) update(a asker) error {
	tag, err := a.Exec(h.ctx, huntUpdate, h.options(h.body(h.token()), h.id)...)
	return h.counted(int(tag.RowsAffected()), 1, err)
}

func (h *hunter) insert(a asker) error {
	token := h.token()
	sql, args := huntInsert, []any{token, h.body("more")}
	if h.rnd.IntN(2) == 0 {
		sql, args = huntForge, append(args, h.tenant)
	}
	err := h.look(a.QueryRow(h.ctx, sql, h.options(args...)...), token)
	if h.tenant == "" {
		return isCode(err, "42501")
	}
	return err
}

func (h *hunter) remove(a asker) error {
	token := h.token()
	rows, err := a.Query(h.ctx, huntDelete, h.options(token, h.body("more"))...)
	if err != nil {
		return err
	}
	_, err = h.lookAtAll(rows, token, math.MaxInt)
	return err
}

// fill queues statements and returns what looks at their results, in turn.
func (h *hunter) fill(b *pgx.Batch) (looks []func(pgx.BatchResults) error) {
	for range 1 + h.rnd.IntN(4) {
		token := h.token()
		switch h.rnd.IntN(4) {
		case 0:
			b.Queue(huntSettings, token)
			looks = append(looks, func(br pgx.BatchResults) error { return h.lookAtSettings(br.QueryRow(), token) })
		case 1:
			b.Queue(huntRow, token, h.id)
			looks = append(looks, func(br pgx.BatchResults) error { return h.notNobody(h.look(br.QueryRow(), token)) })
		case 2:
			b.Queue(huntRows, token)
			looks = append(looks, func(br pgx.BatchResults) error {
				rows, err := br.Query()
				if err != nil {
					return err
				}
				n, err := h.lookAtAll(rows, token, math.MaxInt)
				return h.counted(n, huntWorkers/4, err)
			})
		default:
			b.Queue(huntUpdate, h.body(token), h.id)
			looks = append(looks, func(br pgx.BatchResults) error {
				tag, err := br.Exec()
				return h.counted(int(tag.RowsAffected()), 1, err)
			})
		}
	}
	return looks
}

func (h *hunter) batch(a asker) error {
	b := &pgx.Batch{}
	looks := h.fill(b)
	byCallback := h.rnd.IntN(3) == 0
	if byCallback {
		for i, look := range looks {
			b.QueuedQueries[i].Fn = look
		}
	}
	br := a.SendBatch(h.ctx, b)
	if !byCallback {
		for _, look := range looks[:h.rnd.IntN(len(looks)+1)] { // Close reads the rest
			if err := look(br); err != nil {
				_ = br.Close()
				return err
			}
		}
	}
	return br.Close()
}

func (h *hunter) failingBatch(a asker) error {
	b := &pgx.Batch{}
	h.fill(b)
	if h.rnd.IntN(2) == 0 {
		b.Queue("select 1/$1::int", 0)
	} else {
		b.Queue("selec $1", 0)
	}
	h.fill(b)
	return isCode(a.SendBatch(h.ctx, b).Close(), "22012", "42601")
}

const huntPanic = "the hunter's own"

// recovered expects fn to panic with huntPanic, or to fail.
func recovered(fn func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			if err = nil; r != huntPanic {
				panic(r)
			}
		}
	}()
	if err = fn(); err == nil {
		return errors.New("it did not panic")
	}
	return err
}

func (h *hunter) panickingBatch() error {
	b := &pgx.Batch{}
	h.fill(b)
	b.Queue(huntSettings, "").QueryRow(func(pgx.Row) error { panic(huntPanic) })
	h.fill(b)
	return recovered(h.db.SendBatch(h.ctx, b).Close)
}

func (h *hunter) beginningBatch() error {
	b := &pgx.Batch{}
	b.BeginTx(pgx.TxOptions{})
	looks := h.fill(b)
	br := h.db.SendBatch(h.ctx, b)
	_, err := br.Exec() // of the BEGIN
	for _, look := range looks {
		if err == nil {
			err = look(br)
		}
	}
	tx := br.Tx()
	if closeErr := br.Close(); err == nil {
		err = closeErr
	}
	if tx == nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(h.ctx)) }()
	if err == nil {
		err = h.step(tx)
	}
	if err != nil {
		return err
	}
	return tx.Commit(h.ctx)
}

// step does one of the plain things.
func (h *hunter) step(a asker) error {
	if h.tenant != "" && h.rnd.IntN(20) == 0 {
		return h.copyFrom(a)
	}
	return []func(asker) error{h.row, h.setting, h.all, h.some, h.update, h.remove, h.batch}[h.rnd.IntN(7)](a)
}

var errHunted = errors.New("the hunter's own")

func (h *hunter) inTx() error {
	giveUp := h.rnd.IntN(3) == 0
	err := h.db.InTx(h.ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		for range 1 + h.rnd.IntN(3) {
			if err := h.step(tx); err != nil {
				return err
			}
		}
		if giveUp {
			return errHunted
		}
		return nil
	})
	if giveUp && errors.Is(err, errHunted) {
		return nil
	}
	return err
}

func (h *hunter) panickingTx() error {
	return recovered(func() error {
		return h.db.InTx(h.ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
			if err := h.step(tx); err != nil {
				return err
			}
			panic(huntPanic)
		})
	})
}

// begin works by hand, with a savepoint whose statement fails or not.
func (h *hunter) begin() error {
	tx, err := h.db.Begin(h.ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(h.ctx)) }()
	if err := h.step(tx); err != nil {
		return err
	}
	sp, err := tx.Begin(h.ctx)
	if err != nil {
		return err
	}
	if h.rnd.IntN(2) == 0 {
		if err = h.step(sp); err == nil {
			err = sp.Commit(h.ctx)
		}
	} else {
		if err = h.failingBatch(sp); err == nil {
			err = sp.Rollback(h.ctx)
		}
	}
	if err != nil {
		return err
	}
	if err := h.step(tx); err != nil {
		return err
	}
	if h.rnd.IntN(3) == 0 {
		return tx.Rollback(h.ctx)
	}
	return tx.Commit(h.ctx)
}

func (h *hunter) copyFrom(a asker) error {
	rows := make([][]any, 1+h.rnd.IntN(5))
	for i := range rows {
		rows[i] = []any{h.body("more")}
	}
	n, err := a.CopyFrom(h.ctx, pgx.Identifier{"notes", "notes"}, []string{"body"}, pgx.CopyFromRows(rows))
	if h.tenant == "" {
		return isCode(err, "0A000", "42501") // the server's refusal under row-level security, or a policy's of an insert
	}
	return h.counted(int(n), len(rows), err)
}

// several are statements in one text, which go as a simple query.
func (h *hunter) several() error {
	body := h.body("several")
	tag, err := h.db.Exec(h.ctx, fmt.Sprintf("update notes.notes set body = body where id = %d; update notes.notes set body = '%s' where id = %d", h.id, body, h.id))
	return h.counted(int(tag.RowsAffected()), 1, err)
}

func (h *hunter) failing() error {
	ask := []func() error{
		func() error { var n int; return h.db.QueryRow(h.ctx, "select 1/$1::int", h.options(0)...).Scan(&n) },
		func() error {
			_, err := h.db.Exec(h.ctx, "insert into notes.plain values ($1, $2)", h.options(1, "x")...)
			return err
		},
		func() error { // deferred: the commit fails
			_, err := h.db.Exec(h.ctx, "insert into notes.plain values ($1, $2)", h.options(1000+h.id, "taken")...)
			return err
		},
		func() error { _, err := h.db.Exec(h.ctx, "selec 1"); return err },
		func() error {
			var n int
			return h.db.QueryRow(h.ctx, "select nothing from notes.notes where id = $1", h.options(1)...).Scan(&n)
		},
	}[h.rnd.IntN(5)]
	return isCode(ask(), "22012", "23505", "42601", "42703")
}
