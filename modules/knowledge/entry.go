package knowledge

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/sqlarg"
	"github.com/agentagency/onepool/modules/internal/store"
)

// EntryStatus is the stage of an entry's life.
type EntryStatus string

// The statuses of an entry: each source and entity has a single active entry; a replaced entry
// decays until the entry is archived.
const (
	EntryActive   EntryStatus = "active"
	EntryReplaced EntryStatus = "replaced"
	EntryArchived EntryStatus = "archived"
)

// Entry is a piece of knowledge from outside: a source's statement about an entity.
type Entry struct {
	Source         string         `json:"source"`    // 1 to 255 bytes
	EntityID       string         `json:"entity_id"` // the source's, 1 to 255 bytes
	Kind           string         `json:"kind"`      // 1 to 100 bytes
	Name           string         `json:"name"`
	Body           string         `json:"body"`
	Embedding      []float32      `json:"embedding,omitempty"`       // Dimensions numbers, or none: then only text finds the entry
	EmbeddingModel string         `json:"embedding_model,omitempty"` // the model of the embedding, at most 255 bytes
	Confidence     float64        `json:"confidence"`                // 0 to 1
	Metadata       map[string]any `json:"metadata"`

	// The database sets the fields below; PutEntry ignores the fields.
	ID            string      `json:"id"`
	CanonicalName string      `json:"canonical_name"` // Name in lower case, blanks collapsed
	Status        EntryStatus `json:"status"`
	NeedsReview   bool        `json:"needs_review"`
	CreatedAt     time.Time   `json:"created_at"`
	UpdatedAt     time.Time   `json:"updated_at"`
}

func (e Entry) validate() error {
	err := check.First(
		check.ID("source", e.Source),
		check.ID("entity_id", e.EntityID),
		check.Text("kind", e.Kind, 100),
		check.Storable("name", e.Name),
		check.Storable("body", e.Body),
		check.Share("confidence", e.Confidence),
	)
	if len(e.Embedding) > 0 {
		err = check.First(err, checkVector("embedding", e.Embedding))
	}
	if e.EmbeddingModel != "" {
		err = check.First(err, check.ID("embedding_model", e.EmbeddingModel))
	}
	return err
}

// The first statement makes writers of an entity take turns. The second statement sees the
// previous writer's commit: an index alone would fail all writers but the first.
const (
	lockEntitySQL = `select pg_advisory_xact_lock(hashtextextended(jsonb_build_array('knowledge.entries', app.current_tenant(), @source::text, @entity_id::text)::text, 0))`

	putEntrySQL = `
with same as (
    update knowledge.entries set updated_at = now(), embedding = %[1]s, metadata = @metadata::jsonb,
        confidence = case when @reset::bool then @confidence::float8 else confidence end
    where source = @source::text and entity_id = @entity_id::text and status = 'active' and content_hash = @hash::text
    returning id
), fresh as materialized (
    select gen_random_uuid() as id where not exists (select from same)
), replaced as (
    update knowledge.entries e set status = 'replaced', replaced_by = fresh.id, replaced_at = now(), decay_rate = 0.95
    from fresh
    where e.source = @source::text and e.entity_id = @entity_id::text and e.status = 'active'
    returning e.id
), added as (
    insert into knowledge.entries (id, source, entity_id, kind, name, body, content_hash, embedding, embedding_model, confidence, metadata)
    select fresh.id, @source::text, @entity_id::text, @kind::text, @name::text, @body::text, @hash::text, %[1]s,
           nullif(@model::text, ''), @confidence::float8, @metadata::jsonb
    from fresh, (select count(*) from replaced) as after_replaced
    returning id
)
select id::text from same union all select id::text from added`
)

// PutEntry makes e the active entry of the source and the entity, and returns the entry's id, a
// UUID. PutEntry replaces the previous active entry; a replaced entry decays. If the previous
// entry has the same content, PutEntry updates the embedding and the metadata of the previous
// entry, and returns the previous entry's id. The content is kind, name, body, and an embedding
// of the same model or none as before. The previous entry's confidence stays as use has moved
// the confidence, but for ResetConfidence.
func (c *Client) PutEntry(ctx context.Context, e Entry, opts ...EntryOption) (string, error) {
	var o entryOptions
	for _, opt := range opts {
		opt(&o)
	}
	id, err := c.putEntry(ctx, e, o)
	return id, wrap("put entry", err)
}

// EntryOption is an option of PutEntry.
type EntryOption func(*entryOptions)

type entryOptions struct{ reset bool }

// ResetConfidence gives an entry with the same content the confidence of e, as if the entry
// were new.
func ResetConfidence() EntryOption { return func(o *entryOptions) { o.reset = true } }

func (c *Client) putEntry(ctx context.Context, e Entry, o entryOptions) (id string, err error) {
	if err := e.validate(); err != nil {
		return "", err
	}
	metadata, err := sqlarg.JSON("metadata", e.Metadata)
	if err != nil {
		return "", err
	}
	s, err := c.embeddings(ctx)
	if err != nil {
		return "", err
	}
	args := pgx.NamedArgs{
		"source": e.Source, "entity_id": e.EntityID, "kind": e.Kind, "name": e.Name, "body": e.Body,
		"hash":      hashOf(e.Kind, e.Name, e.Body, e.EmbeddingModel, fmt.Sprint(len(e.Embedding))),
		"embedding": s.encode(e.Embedding), "model": e.EmbeddingModel, "confidence": e.Confidence, "metadata": metadata, "reset": o.reset,
	}
	err = store.Batch(ctx, c.db, func(b *pgx.Batch) {
		b.Queue(lockEntitySQL, args)
		b.Queue(fmt.Sprintf(putEntrySQL, s.param()), args).QueryRow(func(row pgx.Row) error { return row.Scan(&id) })
	})
	return id, err
}

// entryColumns are the columns of an entryRow, of knowledge.entries e.
const entryColumns = `e.id::text as id, e.source, e.entity_id, e.kind, e.name, e.canonical_name, e.body,
       coalesce(e.embedding_model, '') as embedding_model, e.confidence, e.status, e.needs_review, e.metadata, e.created_at, e.updated_at`

type entryRow struct {
	ID, Source, EntityID, Kind, Name, CanonicalName, Body, EmbeddingModel string
	Confidence                                                            float64
	Status                                                                EntryStatus
	NeedsReview                                                           bool
	Metadata                                                              json.RawMessage
	CreatedAt, UpdatedAt                                                  time.Time
}

func (r entryRow) entry() (Entry, error) {
	e := Entry{
		ID: r.ID, Source: r.Source, EntityID: r.EntityID, Kind: r.Kind, Name: r.Name, CanonicalName: r.CanonicalName,
		Body: r.Body, EmbeddingModel: r.EmbeddingModel, Confidence: r.Confidence, Status: r.Status,
		NeedsReview: r.NeedsReview, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}
	if err := json.Unmarshal(r.Metadata, &e.Metadata); err != nil {
		return Entry{}, fmt.Errorf("entry %s: metadata that is no object: %w", r.ID, modules.ErrInvalid)
	}
	return e, nil
}

const getEntrySQL = "select " + entryColumns + `, e.embedding::real[] as embedding
from knowledge.entries e where e.source = @source and e.entity_id = @entity_id and e.status = 'active'`

// GetEntry returns the active entry of the source and entity with the embedding, or
// ErrEntryNotFound.
func (c *Client) GetEntry(ctx context.Context, source, entityID string) (Entry, error) {
	if err := check.First(check.ID("source", source), check.ID("entity_id", entityID)); err != nil {
		return Entry{}, wrap("get entry", err)
	}
	type row struct {
		entryRow
		Embedding []float32
	}
	r, err := store.One[row](ctx, c.db, getEntrySQL, pgx.NamedArgs{"source": source, "entity_id": entityID})
	if err != nil {
		return Entry{}, wrap("get entry", store.OrMissing(err, ErrEntryNotFound))
	}
	e, err := r.entry()
	e.Embedding = r.Embedding
	return e, wrap("get entry", err)
}
