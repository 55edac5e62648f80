package fxdb

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// LoadTypes returns a hook for [OnConnect] that registers composite types, enums, domains,
// ranges and the row types of tables by name, for example "mood" or "shop.address". The
// hook also registers the types' arrays and the types of fields:
//
//	fxdb.OnConnect("types", fxdb.LoadTypes("mood", "shop.address"))
//
// The first connection loads the types, in one query. Later connections register the
// loaded types without a query. A minute later the next new connection loads again: new
// connections then know a type that a migration has recreated.
//
// The hook fails if the database lacks a named type.
func LoadTypes(names ...string) func(context.Context, *pgx.Conn) error {
	all := make([]string, 0, 2*len(names))
	for _, name := range names {
		schema, own, qualified := strings.Cut(name, ".")
		if !qualified {
			schema, own = "", name
		} else {
			schema += "."
		}
		all = append(all, name, schema+"_"+own) // the server's name of the array
	}
	return func(ctx context.Context, conn *pgx.Conn) error {
		cache, ok := ctx.Value(typesKey{}).(*typeCache)
		if !ok { // the caller is no pool of this package
			cache = new(typeCache)
		}
		types, err := cache.load(ctx, conn, all)
		if err != nil {
			return fmt.Errorf("load types: %w", err)
		}
		for _, t := range types {
			conn.TypeMap().RegisterType(typeFor(conn.TypeMap(), t))
		}
		for _, name := range names {
			if _, ok := conn.TypeMap().TypeForName(name); !ok {
				return fmt.Errorf("load types: the database has no composite type, enum, domain, range or table %q: "+
					"look for a slip of the pen, or add the migration that creates the type", name)
			}
		}
		return nil
	}
}

// typesFor is how long loaded types are shared.
const typesFor = time.Minute

type typesKey struct{}

// typeCache holds the types loaded by the connections of a database.
type typeCache struct {
	mu   sync.Mutex
	sets map[string]*typeSet // by the names
}

// typeSet is the result of one LoadTypes.
type typeSet struct {
	turn   chan struct{} // buffered 1: full while a connection loads
	types  []*pgtype.Type
	loaded time.Time
}

// load returns the types. A single connection loads at a time; further connections wait
// for the result.
func (c *typeCache) load(ctx context.Context, conn *pgx.Conn, names []string) ([]*pgtype.Type, error) {
	key := strings.Join(names, "\x00")
	c.mu.Lock()
	set := c.sets[key]
	if set == nil {
		if c.sets == nil {
			c.sets = make(map[string]*typeSet)
		}
		set = &typeSet{turn: make(chan struct{}, 1)}
		c.sets[key] = set
	}
	c.mu.Unlock()

	select {
	case set.turn <- struct{}{}:
		defer func() { <-set.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if !set.loaded.IsZero() && time.Since(set.loaded) < typesFor {
		return set.types, nil
	}
	types, err := conn.LoadTypes(ctx, names)
	if err != nil {
		return nil, err
	}
	set.types, set.loaded = types, time.Now()
	return types, nil
}

// typeFor returns t for the map of another connection. An EnumCodec keeps the strings that
// the connection has read, without a lock. Every connection therefore needs its own
// codecs, with elements and fields of its own map.
func typeFor(m *pgtype.Map, t *pgtype.Type) *pgtype.Type {
	return &pgtype.Type{Name: t.Name, OID: t.OID, Codec: codecFor(m, t.Codec)}
}

func codecFor(m *pgtype.Map, codec pgtype.Codec) pgtype.Codec {
	switch c := codec.(type) {
	case *pgtype.EnumCodec:
		return &pgtype.EnumCodec{}
	case *pgtype.ArrayCodec:
		return &pgtype.ArrayCodec{ElementType: elementFor(m, c.ElementType), Delimiter: c.Delimiter}
	case *pgtype.RangeCodec:
		return &pgtype.RangeCodec{ElementType: elementFor(m, c.ElementType)}
	case *pgtype.MultirangeCodec:
		return &pgtype.MultirangeCodec{ElementType: elementFor(m, c.ElementType)}
	case *pgtype.CompositeCodec:
		fields := make([]pgtype.CompositeCodecField, len(c.Fields))
		for i, f := range c.Fields {
			fields[i] = pgtype.CompositeCodecField{Name: f.Name, Type: elementFor(m, f.Type)}
		}
		return &pgtype.CompositeCodec{Fields: fields}
	}
	return codec
}

func elementFor(m *pgtype.Map, t *pgtype.Type) *pgtype.Type {
	if known, ok := m.TypeForOID(t.OID); ok {
		return known
	}
	return typeFor(m, t)
}
