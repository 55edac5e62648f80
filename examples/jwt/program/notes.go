package main

import (
	"context"
	"embed"
	"encoding/json"
	"net/http"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/fxdb"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Notes is a database client that knows nothing of tenants: row-level security shows the notes of
// the tenant in the context.
type Notes struct{ db *fxdb.DB }

// NewNotes makes the client on the shared pool.
func NewNotes(db *fxdb.DB) *Notes { return &Notes{db} }

// Note is a note and the user who wrote the note.
type Note struct {
	Author string `json:"author"`
	Body   string `json:"body"`
}

// Add stores a note, and returns all notes of the tenant in ctx, the oldest first.
func (n *Notes) Add(ctx context.Context, body string) ([]Note, error) {
	if _, err := n.db.Exec(ctx, "insert into notes.notes (body) values ($1)", body); err != nil {
		return nil, err
	}
	rows, err := n.db.Query(ctx, "select author, body from notes.notes order by id")
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[Note])
}

// ServeHTTP adds the note in the form value "body".
func (n *Notes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	all, err := n.Add(r.Context(), r.FormValue("body"))
	if err != nil {
		http.Error(w, "the note could not be stored", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(all)
}
