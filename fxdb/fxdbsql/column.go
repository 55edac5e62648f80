package fxdbsql

import (
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// formats asks for binary values of the types that database/sql has a type for, and for text of
// all other types. pgx's own database/sql driver asks for the same formats, and rows returns
// the same values: a program may switch between the two drivers.
var formats = pgx.QueryResultFormatsByOID{
	pgtype.BoolOID: pgx.BinaryFormatCode, pgtype.ByteaOID: pgx.BinaryFormatCode,
	pgtype.Int2OID: pgx.BinaryFormatCode, pgtype.Int4OID: pgx.BinaryFormatCode, pgtype.Int8OID: pgx.BinaryFormatCode,
	pgtype.OIDOID: pgx.BinaryFormatCode, pgtype.XIDOID: pgx.BinaryFormatCode, pgtype.CIDOID: pgx.BinaryFormatCode,
	pgtype.Float4OID: pgx.BinaryFormatCode, pgtype.Float8OID: pgx.BinaryFormatCode,
	pgtype.DateOID: pgx.BinaryFormatCode, pgtype.TimestampOID: pgx.BinaryFormatCode, pgtype.TimestamptzOID: pgx.BinaryFormatCode,
}

// scanTypes maps a type to the best Go type for Scan; for a missing type Scan takes a string.
var scanTypes = map[uint32]reflect.Type{
	pgtype.BoolOID: reflect.TypeFor[bool](), pgtype.ByteaOID: reflect.TypeFor[[]byte](),
	pgtype.Int2OID: reflect.TypeFor[int16](), pgtype.Int4OID: reflect.TypeFor[int32](), pgtype.Int8OID: reflect.TypeFor[int64](),
	pgtype.Float4OID: reflect.TypeFor[float32](), pgtype.Float8OID: reflect.TypeFor[float64](), pgtype.NumericOID: reflect.TypeFor[float64](),
	pgtype.DateOID: reflect.TypeFor[time.Time](), pgtype.TimestampOID: reflect.TypeFor[time.Time](), pgtype.TimestamptzOID: reflect.TypeFor[time.Time](),
}

// ColumnTypeScanType is for sql.ColumnType.
func (r *rows) ColumnTypeScanType(i int) reflect.Type {
	if t, ok := scanTypes[r.fields[i].DataTypeOID]; ok {
		return t
	}
	return reflect.TypeFor[string]()
}

// ColumnTypeDatabaseTypeName is for sql.ColumnType: the type's name in capitals, or the OID of
// an unknown type.
func (r *rows) ColumnTypeDatabaseTypeName(i int) string {
	oid := r.fields[i].DataTypeOID
	if t, ok := r.types.TypeForOID(oid); ok {
		return strings.ToUpper(t.Name)
	}
	return strconv.FormatUint(uint64(oid), 10)
}

// lengthHeader is the number that the server adds to a declared length.
const lengthHeader = 4

// ColumnTypeLength is for sql.ColumnType.
func (r *rows) ColumnTypeLength(i int) (length int64, ok bool) {
	f := r.fields[i]
	switch f.DataTypeOID {
	case pgtype.TextOID, pgtype.ByteaOID:
		return math.MaxInt64, true
	case pgtype.VarcharOID, pgtype.BPCharOID, pgtype.VarbitOID:
		if f.TypeModifier < 0 {
			return math.MaxInt64, true
		}
		if f.DataTypeOID == pgtype.VarbitOID {
			return int64(f.TypeModifier), true
		}
		return int64(f.TypeModifier) - lengthHeader, true
	}
	return 0, false
}

// undeclared is the modifier of a type without a declared modifier.
const undeclared = -1

// secondsDigits is how many digits of a second PostgreSQL keeps at most, and if no
// number was declared.
const secondsDigits = 6

// ColumnTypePrecisionScale is for sql.ColumnType. The scale of a time is the number of a
// second's digits.
func (r *rows) ColumnTypePrecisionScale(i int) (precision, scale int64, ok bool) {
	f := r.fields[i]
	switch f.DataTypeOID {
	case pgtype.NumericOID:
		if f.TypeModifier == undeclared {
			return 0, 0, false
		}
		m := int64(f.TypeModifier) - lengthHeader
		return m >> 16 & 0xffff, m & 0xffff, true
	case pgtype.TimestampOID, pgtype.TimestamptzOID, pgtype.TimeOID, pgtype.TimetzOID:
		if f.TypeModifier == undeclared {
			return 0, secondsDigits, true
		}
		return 0, int64(f.TypeModifier), true
	case pgtype.IntervalOID: // the high bits hold the declared fields
		if digits := int64(f.TypeModifier & 0xffff); digits != 0xffff {
			return 0, digits, true
		}
		return 0, secondsDigits, true
	}
	return 0, 0, false
}
