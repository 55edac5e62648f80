package fxdb

import (
	"reflect"
	"unsafe"

	"github.com/jackc/pgx/v5"
)

// preprocessing is pgx's error of a batch whose statement could not be prepared or
// built: programs look for it with errors.As, and pgx alone can make one. Without the
// fields that pgx 5.13 has, err is returned as it is.
func preprocessing(step, sql string, err error) error {
	e := new(pgx.ErrPreprocessingBatch)
	fields := reflect.ValueOf(e).Elem()
	for name, value := range map[string]any{"step": step, "sql": sql, "err": err} {
		f := fields.FieldByName(name)
		if !f.IsValid() || !reflect.TypeOf(value).AssignableTo(f.Type()) {
			return err
		}
		reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem().Set(reflect.ValueOf(value))
	}
	return *e
}
