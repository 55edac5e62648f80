package verification

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/sqlarg"
	"github.com/agentagency/onepool/modules/internal/store"
)

// Result is the outcome of a request's verification.
type Result struct {
	RequestID      string         `json:"request_id"`
	Verdict        Verdict        `json:"verdict"`
	Confidence     float64        `json:"confidence"` // 0 to 1
	Reasoning      []string       `json:"reasoning"`
	Supporting     []Evidence     `json:"supporting"`
	Contradicting  []Evidence     `json:"contradicting"`
	Methods        []MethodResult `json:"methods"`
	ProcessingTime time.Duration  `json:"processing_time_ns"` // kept in ms
	Error          *string        `json:"error"`              // set: the request has failed
	ErrorCode      *string        `json:"error_code"`         // at most 50 bytes

	// The database sets the fields below; SaveResult ignores the fields.
	ID              string    `json:"id"`               // a UUID
	EvidenceQuality *float64  `json:"evidence_quality"` // the mean of relevance times credibility; nil: no evidence
	Consensus       *float64  `json:"consensus"`        // share of the methods without an error that agree with the verdict; nil: no method without an error
	CreatedAt       time.Time `json:"created_at"`
}

// MethodResult is the outcome of a method.
type MethodResult struct {
	Method         MethodType     `json:"method"`
	Verdict        Verdict        `json:"verdict"`
	Confidence     float64        `json:"confidence"` // 0 to 1
	Reasoning      []string       `json:"reasoning"`
	ProcessingTime time.Duration  `json:"processing_time_ns"`
	EvidenceCount  int            `json:"evidence_count"`
	Err            *string        `json:"err"` // set: the method has failed
	Metadata       map[string]any `json:"metadata"`
}

func (m MethodResult) validate() error {
	return check.First(
		check.Enum("method", m.Method, methodTypes),
		check.Enum("verdict", m.Verdict, verdicts),
		check.Share("confidence", m.Confidence),
		check.Storable("reasoning", m.Reasoning...),
		checkDuration("processing_time", m.ProcessingTime),
		check.Int32("evidence_count", m.EvidenceCount, 0),
		check.Optional("err", m.Err),
	)
}

// validate is for all but the request's id and the evidence.
func (r Result) validate() error {
	err := check.First(
		check.Enum("verdict", r.Verdict, verdicts),
		check.Share("confidence", r.Confidence),
		check.Storable("reasoning", r.Reasoning...),
		checkDuration("processing_time", r.ProcessingTime),
		check.Optional("error", r.Error),
		checkErrorCode(r.ErrorCode),
		check.Ranges(r),
	)
	for i, m := range r.Methods {
		if methodErr := m.validate(); methodErr != nil {
			err = check.First(err, fmt.Errorf("method %d: %w", i, methodErr))
		}
	}
	return err
}

// evidence returns the evidence of both sides; each piece has the side.
func (r Result) evidence() []Evidence {
	out := make([]Evidence, 0, len(r.Supporting)+len(r.Contradicting))
	for _, e := range r.Supporting {
		e.Supporting = true
		out = append(out, e)
	}
	for _, e := range r.Contradicting {
		e.Supporting = false
		out = append(out, e)
	}
	return out
}

// consensus is the share of the methods without an error that agree with the verdict.
func (r Result) consensus() *float64 {
	var agreed, asked float64
	for _, m := range r.Methods {
		if m.Err != nil {
			continue
		}
		asked++
		if m.Verdict == r.Verdict {
			agreed++
		}
	}
	if asked == 0 {
		return nil
	}
	share := agreed / asked
	return &share
}

// status is the request's status after the result.
func (r Result) status() Status {
	if r.Error != nil {
		return Failed
	}
	return Completed
}

// saveResultSQL locks the request first, and the methods in the order of the names. The
// statement reads the clock under the lock of the request: of two results the later save is the
// newer result.
var saveResultSQL = `
with request as (
    select r.tenant_id, r.id, r.status from verification.requests r where r.id = @request_id for no key update
), saved as (
    insert into verification.results (request_id, verdict, confidence, reasoning, verification_methods, processing_time_ms, created_at,
        evidence_quality_score, consensus_strength, error_message, error_code)
    select q.id, @verdict, @confidence::float8, @reasoning::text[], @method_results::text::jsonb, @processing_ms::bigint, clock_timestamp(),
           (select avg(e.relevance * e.credibility) from unnest(@relevances::float8[], @credibilities::float8[]) as e(relevance, credibility)),
           @consensus::float8, @error::text, @error_code::text
    from request q where q.status = any(@from::text[])
    returning id, request_id
), closed as (
    update verification.requests r set
        status             = case when @error::text is null then 'completed' else 'failed' end,
        completed_at       = coalesce(r.completed_at, now()),
        processing_time_ms = @processing_ms::bigint,
        error_message      = @error::text,
        error_code         = @error_code::text
    from request q, saved where r.tenant_id = q.tenant_id and r.id = q.id
), given as (` + insertEvidence("saved") + `
), counted as (` + countTenantRuns(`saved, unnest(@run_methods::text[], @run_successes::bool[], @run_ms::float8[], @run_errors::text[])
        with ordinality as run(method, success, ms, error, place)`) + `
)
select request.status as before, coalesce(saved.id::text, '') as id from request left join saved on true`

// SaveResult adds the result of a request, with the evidence, and returns the result's id, a
// UUID. In the same transaction and round trip SaveResult completes the request, or fails the
// request if the result has an error. The tenant's figures count the result's methods.
// SaveResult stores a further result if the result leads to the request's final status. A
// missing request is ErrRequestNotFound, a cancelled request or a request with a different
// final status ErrStatus.
func (c *Client) SaveResult(ctx context.Context, r Result) (string, error) {
	methods, methodsErr := sqlarg.JSON("methods", r.Methods)
	args, evidenceErr := evidenceArgs(r.evidence())
	if err := check.First(check.ID("request_id", r.RequestID), r.validate(), methodsErr, evidenceErr); err != nil {
		return "", wrap("save result", err)
	}
	args["request_id"], args["verdict"], args["confidence"], args["reasoning"] = r.RequestID, r.Verdict, r.Confidence, sqlarg.Texts(r.Reasoning)
	args["method_results"], args["processing_ms"], args["consensus"] = methods, r.ProcessingTime.Milliseconds(), r.consensus()
	args["error"], args["error_code"] = r.Error, r.ErrorCode
	args["from"] = byResult(r.status())
	runArgs(args, r.Methods)
	type row struct {
		Before Status
		ID     string
	}
	saved, err := store.One[row](ctx, c.db, saveResultSQL, args)
	err = store.OrMissing(err, ErrRequestNotFound)
	if err == nil && saved.ID == "" {
		err = inStatus(saved.Before)
	}
	return saved.ID, wrap("save result", err)
}

const resultColumnsSQL = `
select r.id::text as id, r.request_id, r.verdict, r.confidence, r.reasoning, r.verification_methods as methods,
       r.processing_time_ms * interval '1 millisecond' as processing_time, r.error_message as error, r.error_code,
       r.evidence_quality_score as evidence_quality, r.consensus_strength as consensus, r.created_at,
       coalesce((
           select jsonb_agg(jsonb_build_object(
               'id', e.id, 'source', coalesce(e.source_url, ''), 'content', coalesce(e.content_excerpt, ''), 'relevance', e.relevance_score,
               'credibility', e.credibility_score, 'supporting', e.supporting_claim, 'type', e.evidence_type, 'method', e.verification_method,
               'title', e.source_title, 'publisher', e.source_publisher,
               'published_at', to_char(e.publish_date at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
               'verified_at', to_char(e.access_date at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'metadata', e.metadata) order by e.seq)
           from verification.evidence e where e.tenant_id = r.tenant_id and e.result_id = r.id), '[]') as evidence
from verification.results r where r.request_id = @request_id`

const resultSQL = resultColumnsSQL + " order by r.created_at desc, r.id desc limit 1"

// resultRow is a row of resultColumnsSQL.
type resultRow struct {
	ID, RequestID              string
	Verdict                    Verdict
	Confidence                 float64
	Reasoning                  []string
	Methods                    []MethodResult
	ProcessingTime             time.Duration
	Error, ErrorCode           *string
	EvidenceQuality, Consensus *float64
	CreatedAt                  time.Time
	Evidence                   []Evidence
}

func (r resultRow) result() Result {
	out := Result{
		RequestID: r.RequestID, Verdict: r.Verdict, Confidence: r.Confidence, Reasoning: r.Reasoning, Methods: r.Methods,
		Supporting: []Evidence{}, Contradicting: []Evidence{}, ProcessingTime: r.ProcessingTime, Error: r.Error, ErrorCode: r.ErrorCode,
		ID: r.ID, EvidenceQuality: r.EvidenceQuality, Consensus: r.Consensus, CreatedAt: r.CreatedAt,
	}
	for _, e := range r.Evidence {
		if e.Supporting {
			out.Supporting = append(out.Supporting, e)
		} else {
			out.Contradicting = append(out.Contradicting, e)
		}
	}
	return out
}

// Result returns the newest result of a request with the evidence in the order given, or
// ErrResultNotFound. Evidence has the times in UTC.
func (c *Client) Result(ctx context.Context, requestID string) (Result, error) {
	if err := check.ID("request_id", requestID); err != nil {
		return Result{}, wrap("result", err)
	}
	r, err := store.One[resultRow](ctx, c.db, resultSQL, pgx.NamedArgs{"request_id": requestID})
	if err != nil {
		return Result{}, wrap("result", store.OrMissing(err, ErrResultNotFound))
	}
	return r.result(), nil
}
