package verification

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/sqlarg"
	"github.com/agentagency/onepool/modules/internal/store"
)

// Evidence speaks for or against a verified statement.
type Evidence struct {
	ID          string         `json:"id"`     // a UUID; made when empty
	Source      string         `json:"source"` // a URL
	Content     string         `json:"content"`
	Relevance   float64        `json:"relevance"`   // 0 to 1
	Credibility float64        `json:"credibility"` // 0 to 1
	Supporting  bool           `json:"supporting"`
	Type        EvidenceType   `json:"type"`   // default General; see General
	Method      *MethodType    `json:"method"` // the method that found the evidence
	Title       *string        `json:"title"`
	Publisher   *string        `json:"publisher"`
	PublishedAt *time.Time     `json:"published_at"`
	VerifiedAt  time.Time      `json:"verified_at"` // default now
	Metadata    map[string]any `json:"metadata"`    // "original_type" has the original of an unknown type
}

func (e Evidence) validate() error {
	err := check.First(
		check.Storable("source", e.Source),
		check.Storable("content", e.Content),
		check.Share("relevance", e.Relevance),
		check.Share("credibility", e.Credibility),
		check.Optional("title", e.Title),
		check.Optional("publisher", e.Publisher),
		check.Ranges(e),
		check.Past("verified_at", e.VerifiedAt),
	)
	if e.ID != "" {
		err = check.First(err, check.UUID("id", e.ID))
	}
	if e.Method != nil {
		err = check.First(err, check.Enum("method", *e.Method, methodTypes))
	}
	return err
}

// size is the size of the texts, in bytes.
func (e Evidence) size() int {
	n := len(e.Source) + len(e.Content)
	for _, text := range []*string{e.Title, e.Publisher} {
		if text != nil {
			n += len(*text)
		}
	}
	return n
}

// stored returns the type and the metadata in the form of the table.
func (e Evidence) stored() (EvidenceType, map[string]any) {
	t := cmp.Or(e.Type, General)
	if slices.Contains(evidenceTypes, t) {
		return t, e.Metadata
	}
	metadata := map[string]any{"original_type": string(t)}
	maps.Copy(metadata, e.Metadata)
	return General, metadata
}

// evidenceRows are the rows of evidenceArgs.
const evidenceRows = `unnest(@ids::text[], @sources::text[], @contents::text[], @hashes::text[], @relevances::float8[], @credibilities::float8[],
        @supporting::bool[], @types::text[], @methods::text[], @titles::text[], @publishers::text[], @published::timestamptz[],
        @verified::timestamptz[], @metadata::text[])
        with ordinality as e(id, source, content, hash, relevance, credibility, supporting, type, method, title, publisher, published_at, verified_at, metadata, place)`

// insertEvidence inserts evidenceRows for the rows of the named query. The named query has a
// result's id and request_id.
func insertEvidence(result string) string {
	return `
    insert into verification.evidence (id, result_id, request_id, source_url, source_title, source_publisher, content_excerpt, content_hash,
        relevance_score, credibility_score, supporting_claim, evidence_type, publish_date, access_date, verification_method, metadata)
    select coalesce(nullif(e.id, '')::uuid, gen_random_uuid()), r.id, r.request_id, nullif(e.source, ''), e.title, e.publisher, nullif(e.content, ''), e.hash,
           e.relevance, e.credibility, e.supporting, e.type, e.published_at, coalesce(e.verified_at, now()), e.method, e.metadata::jsonb
    from ` + result + ` r, ` + evidenceRows + `
    order by e.place`
}

// maxEvidence and maxEvidenceBytes bound the evidence of a result: Result returns all evidence.
const (
	maxEvidence      = modules.MaxRows
	maxEvidenceBytes = 4 << 20
)

var errTooMuchEvidence = check.Invalid("evidence", fmt.Sprintf("must be at most %d pieces of %d bytes together for a result", maxEvidence, maxEvidenceBytes))

// evidenceArgs returns pieces of evidence as an array for each column.
func evidenceArgs(all []Evidence) (pgx.NamedArgs, error) {
	n := len(all)
	if n > maxEvidence {
		return nil, errTooMuchEvidence
	}
	ids, sources, contents, hashes := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	types, metadata, supporting := make([]string, n), make([]string, n), make([]bool, n)
	relevances, credibilities := make([]float64, n), make([]float64, n)
	methods, titles, publishers := make([]*string, n), make([]*string, n), make([]*string, n)
	published, verified := make([]*time.Time, n), make([]*time.Time, n)
	size := 0
	for i, e := range all {
		kind, about := e.stored()
		raw, err := sqlarg.JSON("metadata", about)
		if err := check.First(e.validate(), err); err != nil {
			return nil, fmt.Errorf("evidence %d: %w", i, err)
		}
		ids[i], sources[i], contents[i], hashes[i] = e.ID, e.Source, e.Content, sqlarg.SHA256(e.Content)
		types[i], metadata[i], supporting[i] = string(kind), raw, e.Supporting
		relevances[i], credibilities[i] = e.Relevance, e.Credibility
		methods[i], titles[i], publishers[i] = (*string)(e.Method), e.Title, e.Publisher
		published[i], verified[i] = e.PublishedAt, sqlarg.OrNull(e.VerifiedAt)
		size += e.size() + len(raw)
	}
	if size > maxEvidenceBytes {
		return nil, errTooMuchEvidence
	}
	return pgx.NamedArgs{
		"size": size,
		"ids":  ids, "sources": sources, "contents": contents, "hashes": hashes, "relevances": relevances, "credibilities": credibilities,
		"supporting": supporting, "types": types, "methods": methods, "titles": titles, "publishers": publishers,
		"published": published, "verified": verified, "metadata": metadata,
	}, nil
}

const (
	lockResultSQL = "select from verification.results where id = @result_id::uuid for no key update"

	// The quality is of all evidence, including concurrent additions.
	rateEvidenceSQL = `
update verification.results r set evidence_quality_score = (
    select avg(e.relevance_score * e.credibility_score) from verification.evidence e where e.tenant_id = r.tenant_id and e.result_id = r.id
) where r.id = @result_id::uuid`
)

// The statement locks the result, so no concurrent call adds to the counted evidence.
var addEvidenceSQL = fmt.Sprintf(`
with result as (
    select r.id, r.request_id from verification.results r
    where r.id = @result_id::uuid and (
        select count(*) + cardinality(@ids::text[]) <= %d
           and coalesce(sum(coalesce(octet_length(e.source_url), 0) + coalesce(octet_length(e.content_excerpt), 0) + coalesce(octet_length(e.source_title), 0)
                        + coalesce(octet_length(e.source_publisher), 0) + octet_length(e.metadata::text)), 0) + @size::bigint <= %d
        from verification.evidence e where e.tenant_id = r.tenant_id and e.result_id = r.id)
)`, maxEvidence, maxEvidenceBytes) + insertEvidence("result")

// AddEvidence adds evidence to a result, all or none, in the same round trip. A missing result
// is an ErrUnknownResult, an id of evidence that the tenant has already a modules.ErrConflict.
// AddEvidence without evidence needs no connection. A result holds modules.MaxRows pieces and
// 4 MiB of evidence, and AddEvidence refuses more.
func (c *Client) AddEvidence(ctx context.Context, resultID string, evidence []Evidence) error {
	args, err := evidenceArgs(evidence)
	if err := check.First(check.UUID("result_id", resultID), err); err != nil {
		return wrap("add evidence", err)
	}
	if len(evidence) == 0 {
		return nil
	}
	args["result_id"] = resultID
	var found, added int64
	err = store.Batch(ctx, c.db, func(b *pgx.Batch) {
		b.Queue(lockResultSQL, args).Exec(func(tag pgconn.CommandTag) error {
			found = tag.RowsAffected()
			return nil
		})
		b.Queue(addEvidenceSQL, args).Exec(func(tag pgconn.CommandTag) error {
			added = tag.RowsAffected()
			return nil
		})
		b.Queue(rateEvidenceSQL, args)
	})
	switch {
	case err != nil:
	case found == 0:
		err = ErrUnknownResult
	case added == 0:
		err = errTooMuchEvidence
	}
	return wrap("add evidence", err)
}
