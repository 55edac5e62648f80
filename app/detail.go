package main

import (
	"cmp"
	"errors"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/agentagency/onepool/modules"
)

// requestNames maps a client's name of a field to the request's name.
var requestNames = map[string]string{
	"age":             "finished_for_ns",
	"duration":        "duration_ns",
	"entity_id":       "entity",
	"error_text":      "error",
	"extraction_time": "extraction_time_ns",
	"fetch":           "fetch_ns",
	"n":               "count",
	"parse":           "parse_ns",
	"processing_time": "processing_time_ns",
	"sanitize":        "sanitize_ns",
	"threshold":       "inactive_for_ns",
	"timeout":         "timeout_ns",
	"total":           "total_ns",
	"ttl":             "ttl_ns",
	"vector":          "embedding",
	"window":          "window_ns",
}

// clientOperation is the beginning of a client's error: the caller knows the operation.
var clientOperation = regexp.MustCompile(`^(agentregistry|knowledge|orchestrator|verification|webnavigator): [^:]+: `)

// detailOf returns an error in words of the request: without the client's operation, with the
// request's names of fields, and without the server's names of constraints.
func detailOf(err error) string {
	var refusal *pgconn.PgError
	if errors.As(err, &refusal) {
		return serverDetail(err, refusal.ConstraintName)
	}
	text := clientOperation.ReplaceAllString(err.Error(), "")
	var field *modules.FieldError
	if errors.As(err, &field) {
		name := cmp.Or(requestNames[field.Field], field.Field)
		text = strings.Replace(text, field.Error(), name+" "+field.Must, 1)
	}
	return text
}

// renamed returns err with a name of the request for a field, if err is about the field. No
// other request uses the name.
func renamed(err error, field, name string) error {
	var about *modules.FieldError
	if errors.As(err, &about) && about.Field == field {
		return &modules.FieldError{Field: name, Must: about.Must}
	}
	return err
}

// uniqueFields names the unique fields of a tenant by the server's constraint; every other
// constraint is about an id.
var uniqueFields = map[string]string{
	"agents_name_key":        "name",
	"assignments_active_key": "active assignment of the task",
	"traversals_session_key": "session_id",
}

// foreignKey is the server's name of a reference within a tenant.
var foreignKey = regexp.MustCompile(`_tenant_id_(\w+)_fkey$`)

// serverDetail describes a row that the server refused.
func serverDetail(err error, constraint string) string {
	switch {
	case errors.Is(err, modules.ErrConflict):
		return "the tenant has this " + cmp.Or(uniqueFields[constraint], "id") + " already"
	case errors.Is(err, modules.ErrReference):
		if column := foreignKey.FindStringSubmatch(constraint); column != nil {
			return column[1] + " names nothing that the tenant has"
		}
		return "the request names something that the tenant does not have"
	case errors.Is(err, modules.ErrForbidden):
		return "the database does not allow this to the tenant"
	}
	return "the database can't keep a value of the request"
}
