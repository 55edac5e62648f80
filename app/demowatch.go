package main

import (
	"context"
	"time"

	"github.com/agentagency/onepool/fxdb"
)

// watchEvery is the time between two looks at the server's connections.
const watchEvery = 5 * time.Millisecond

// sighting is the largest count of connections at once, and the count of sessions ever.
type sighting struct {
	pool  int // the shared pool's
	all   int // of every client but the watcher
	limit int // max_connections
	looks int

	ever, during int64 // sessions of the database: since the database exists, since the first look; 0 before PostgreSQL 14
}

// A tenant's statements run as "application/client". Probes of the server's health run outside
// the pool, as "application/health". The server hides the type of foreign roles' backends; the
// server's own backends have no role or no database.
const watchSQL = `
select count(*) filter (where split_part(application_name, '/', 1) = current_setting('application_name')
                          and split_part(application_name, '/', 2) <> 'health'),
       count(*), current_setting('max_connections')::int,
       coalesce((select (to_jsonb(d) ->> 'sessions')::bigint from pg_stat_database d where d.datname = current_database()), 0)
from pg_stat_activity
where datid is not null and usesysid is not null and pid <> pg_backend_pid()
  and coalesce(backend_type, 'client backend') = 'client backend'`

type watch struct {
	stop context.CancelFunc
	done chan struct{}
	seen sighting
	err  error
}

func startWatch(ctx context.Context, db *fxdb.DB) *watch {
	w := &watch{done: make(chan struct{})}
	looking, stop := context.WithCancel(ctx)
	w.stop = stop
	go func() {
		defer close(w.done)
		var before int64
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for more := true; more; more = looking.Err() == nil {
			var pool, all int
			var ever int64
			// ctx, and not looking: a look that has begun comes to its end.
			if w.err = db.QueryRow(ctx, watchSQL).Scan(&pool, &all, &w.seen.limit, &ever); w.err != nil {
				return
			}
			w.seen.pool, w.seen.all = max(w.seen.pool, pool), max(w.seen.all, all)
			if w.seen.looks == 0 {
				before = ever
			}
			w.seen.ever, w.seen.during = ever, ever-before
			w.seen.looks++
			select {
			case <-looking.Done():
			case <-tick.C:
			}
		}
	}()
	return w
}

// end returns the sighting.
func (w *watch) end() (sighting, error) {
	w.stop()
	<-w.done
	return w.seen, w.err
}
