package scoped

import (
	"reflect"
	"unsafe"

	"github.com/jackc/pgx/v5"
)

// preprocessing returns pgx's error of a batch whose statement pgx could not prepare or
// build, because programs look for the error with errors.As. Only pgx can construct the
// error. preprocessing returns err unchanged if pgx's struct lacks the fields of pgx 5.13.
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
