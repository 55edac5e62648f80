package verification

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/status"
	"github.com/agentagency/onepool/modules/internal/store"
)

// StatusDetails are values that SetRequestStatus stores with a status; nil keeps the stored
// value.
type StatusDetails struct {
	ProcessingTime *time.Duration // kept in ms
	Error          *string
	ErrorCode      *string // at most 50 bytes
}

func (d StatusDetails) validate() error {
	err := check.First(check.Optional("error", d.Error), checkErrorCode(d.ErrorCode))
	if d.ProcessingTime != nil {
		err = check.First(err, checkDuration("processing_time", *d.ProcessingTime))
	}
	return err
}

func checkErrorCode(code *string) error {
	if code == nil {
		return nil
	}
	return check.First(check.Storable("error_code", *code), check.That("error_code", "must be at most 50 bytes", len(*code) <= 50))
}

func checkDuration(field string, d time.Duration) error {
	return check.First(check.That(field, "must not be negative", d >= 0), check.Duration(field, d))
}

// moves are how a request goes on.
var moves = status.Moves[Status]{
	Processing: {Pending},
	Completed:  {Processing},
	Failed:     {Processing},
	Cancelled:  {Pending, Processing},
}

// byResult returns the statuses from which a result may move a request to s. A result without a
// begin has passed through Processing, and a further result of the same kind changes no status.
func byResult(s Status) []string {
	return slices.Concat(moves.To(Processing), moves.To(s), []string{string(s)})
}

const setRequestStatusSQL = `
with request as (
    select r.tenant_id, r.id, r.status from verification.requests r where r.id = @id for no key update
), moved as (
    update verification.requests r set
        status             = @status::text,
        started_at         = case when @status::text = 'processing' then coalesce(r.started_at, now()) else r.started_at end,
        completed_at       = case when @status::text = 'processing' then r.completed_at else now() end,
        processing_time_ms = coalesce(@processing_ms::bigint, r.processing_time_ms),
        error_message      = coalesce(@error::text, r.error_message),
        error_code         = coalesce(@error_code::text, r.error_code)
    from request q where r.tenant_id = q.tenant_id and r.id = q.id and q.status = any(@before::text[])
    returning r.id
)
select request.status as before, moved.id is not null as moved from request left join moved on true`

// SetRequestStatus moves a request: from Pending to Processing, from Processing to Completed or
// Failed, and from Pending or Processing to Cancelled. A different move is an ErrStatus; a
// missing request is ErrRequestNotFound. Processing stamps the start, each final status the
// end.
func (c *Client) SetRequestStatus(ctx context.Context, id string, status Status, d StatusDetails) error {
	err := check.First(check.ID("id", id), check.Enum("status", status, statuses), d.validate())
	if err != nil {
		return wrap("set request status", err)
	}
	type row struct {
		Before Status
		Moved  bool
	}
	args := pgx.NamedArgs{
		"id": id, "status": status, "processing_ms": nil, "error": d.Error, "error_code": d.ErrorCode, "before": moves.To(status),
	}
	if d.ProcessingTime != nil {
		args["processing_ms"] = d.ProcessingTime.Milliseconds()
	}
	r, err := store.One[row](ctx, c.db, setRequestStatusSQL, args)
	err = store.OrMissing(err, ErrRequestNotFound)
	if err == nil && !r.Moved {
		err = inStatus(r.Before)
	}
	return wrap("set request status", err)
}
