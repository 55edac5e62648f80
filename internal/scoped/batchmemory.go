package scoped

import (
	"reflect"
	"unsafe"

	"github.com/jackc/pgx/v5/pgconn"
)

// batchFields are the fields of a pgconn.Batch. pgconn makes the three slices anew for each batch:
// more than half of the allocations of a statement with a scope.
type batchFields struct {
	buf          []byte
	descriptions []*pgconn.StatementDescription
	formats      [][]int16
	err          error
}

// knowsBatches reports whether pgconn.Batch has the fields of pgx 5.13. A different pgconn.Batch is
// not reused.
var knowsBatches = sameFields(reflect.TypeFor[pgconn.Batch](), reflect.TypeFor[batchFields]())

func sameFields(a, b reflect.Type) bool {
	same := a.Size() == b.Size() && a.NumField() == b.NumField()
	for i := 0; same && i < a.NumField(); i++ {
		same = a.Field(i).Type == b.Field(i).Type && a.Field(i).Offset == b.Field(i).Offset
	}
	return same
}

// keptBatch is the longest batch, in bytes, whose memory a connection keeps.
const keptBatch = 16 << 10

// newBatch returns an empty batch in the memory of the connection's last batch. The answers to the
// last batch must have been read.
func (st *statements) newBatch() *pgconn.Batch {
	if !knowsBatches {
		return &pgconn.Batch{}
	}
	b := (*batchFields)(unsafe.Pointer(&st.batch))
	if cap(b.buf) > keptBatch {
		b.buf = nil
	}
	*b = batchFields{buf: b.buf[:0], descriptions: b.descriptions[:0], formats: b.formats[:0]}
	return &st.batch
}
