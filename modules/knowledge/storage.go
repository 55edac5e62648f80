package knowledge

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/check"
)

// Dimensions is the length of an embedding.
const Dimensions = 768

// storage is how the database keeps embeddings, as the migrations decided.
type storage struct {
	// vectors is the schema of pgvector, quoted; empty if the column is an array.
	vectors string
	// iterative reports whether pgvector can scan the index on until the filters have let
	// enough entries through (since 0.8).
	iterative bool
}

const storageSQL = `
select t.typname::text, coalesce(quote_ident(n.nspname), '') as home,
       coalesce(string_to_array(substring(e.extversion from '^\d+\.\d+'), '.')::int[] >= '{0,8}', false) as iterative,
       coalesce(has_schema_privilege(n.oid, 'usage'), true) as usable
from pg_attribute a
join pg_type t on t.oid = a.atttypid
left join pg_extension e on e.extname = 'vector' and t.typname = 'vector'
left join pg_namespace n on n.oid = e.extnamespace
where a.attrelid = to_regclass('knowledge.entries') and a.attname = 'embedding'`

// lookUpStorage asks the database and remembers the answer.
func (c *Client) lookUpStorage(ctx context.Context) (storage, error) {
	var s storage
	var column string
	var usable bool
	err := c.db.QueryRow(ctx, storageSQL).Scan(&column, &s.vectors, &s.iterative, &usable)
	if errors.Is(err, pgx.ErrNoRows) {
		return storage{}, fmt.Errorf("%w: there is no knowledge.entries.embedding", modules.ErrSchema)
	}
	if err != nil {
		return storage{}, err
	}
	if !usable {
		return storage{}, fmt.Errorf("%w: the pool's role may not use the schema of pgvector: grant usage on schema %s to it", modules.ErrSchema, s.vectors)
	}
	c.storage.Store(&s)
	return s, nil
}

// embeddings returns how the database stores embeddings. OnStart looks up the storage, unless
// OnStart had no server to ask.
func (c *Client) embeddings(ctx context.Context) (storage, error) {
	if s := c.storage.Load(); s != nil {
		return *s, nil
	}
	return c.lookUpStorage(ctx)
}

// param is the argument @embedding in the column's type.
func (s storage) param() string {
	if s.vectors == "" {
		return "@embedding::real[]"
	}
	return "@embedding::text::" + s.vectors + ".vector"
}

// encode returns an embedding as an argument for param; an absent embedding is null.
func (s storage) encode(v []float32) any {
	if len(v) == 0 {
		return nil
	}
	if s.vectors == "" {
		return v
	}
	text := make([]byte, 0, 12*len(v))
	for i, x := range v {
		text = append(text, "[,"[min(i, 1)])
		text = strconv.AppendFloat(text, float64(x), 'g', -1, 32)
	}
	return string(append(text, ']'))
}

// length is the length of the vector v.
func length(v []float32) float64 {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	return math.Sqrt(sum)
}

// checkVector refuses a vector without a direction, or with no direction in 32 bits: pgvector
// adds up the squares in 32 bits.
func checkVector(field string, v []float32) error {
	if len(v) != Dimensions {
		return check.Invalid(field, fmt.Sprintf("must have %d dimensions", Dimensions))
	}
	l := length(v) // the comparisons are false for NaN
	return check.That(field, "must be finite numbers, not all of them 0, and as an arrow from 1e-15 to 1e15 long", l >= 1e-15 && l <= 1e15)
}
