package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/agentagency/onepool/modules/agentregistry"
	"github.com/agentagency/onepool/modules/knowledge"
	"github.com/agentagency/onepool/modules/orchestrator"
	"github.com/agentagency/onepool/modules/webnavigator"
	"github.com/agentagency/onepool/tenant"
)

const (
	workersEach  = 16 // of a tenant
	attemptsEach = 2  // of a task
	unanswerable = 10 // 1 task in unanswerable asks a question without an answer
	nobodyKnows  = "Who won the regatta of nineteen hundred and three?"
	enough       = 0.6 // share of the question's words that an answer must contain
	shelf        = "library"
	site         = "library.example"
)

// actor is a tenant of the demo. All actors use the same ids: row-level security alone keeps
// the actors' rows apart.
type actor struct {
	name, tenant  string
	agents, tasks int
	library       []document
}

// newActors returns tenants that are new to the database. The tenants differ in size, so each
// tenant has distinct figures.
func newActors(run string) ([]actor, error) {
	books, err := library()
	if err != nil {
		return nil, err
	}
	return []actor{
		{"acme", "acme-" + run, 6, 120, books},
		{"globex", "globex-" + run, 4, 80, books[:5]},
		{"initech", "initech-" + run, 3, 40, books[:4]},
	}, nil
}

func (a actor) context(ctx context.Context) context.Context {
	return tenant.NewContext(ctx, tenant.Identity{Tenant: a.tenant})
}

// failing is the count of the actor's tasks without an answer.
func (a actor) failing() int { return a.tasks / unanswerable }

func (a actor) question(task int) string {
	if task%unanswerable == 0 {
		return nobodyKnows
	}
	return a.library[task%len(a.library)].question
}

// progress prints a line whenever another tenth of the tasks is finished.
type progress struct {
	mu       sync.Mutex
	out      io.Writer
	all, now int
}

func (p *progress) finished() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now++
	if p.now*10/p.all > (p.now-1)*10/p.all {
		fmt.Fprintf(p.out, "%d of %d tasks finished\n", p.now, p.all)
	}
}

// play lets all tenants work at the same time.
func play(ctx context.Context, out io.Writer, c clients, actors []actor) error {
	p := &progress{out: out}
	for _, a := range actors {
		p.all += a.tasks
		fmt.Fprintf(out, "%s: %d agents, %d documents, %d tasks, %d workers\n", a.tenant, a.agents, len(a.library), a.tasks, workersEach)
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, a := range actors {
		g.Go(func() error {
			ctx := a.context(ctx)
			if err := a.prepare(ctx, c); err != nil {
				return fmt.Errorf("%s: %w", a.tenant, err)
			}
			for i := range workersEach {
				w := worker{a, c, fmt.Sprintf("worker-%02d", i), p}
				g.Go(func() error {
					if err := w.work(ctx); err != nil {
						return fmt.Errorf("%s, %s: %w", a.tenant, w.name, err)
					}
					return nil
				})
			}
			return nil
		})
	}
	return g.Wait()
}

// prepare registers the agents, reads the library, and fills the queue.
func (a actor) prepare(ctx context.Context, c clients) error {
	for i := range a.agents {
		err := c.Agents.Register(ctx, agentregistry.Agent{
			ID: fmt.Sprintf("agent-%d", i), Name: fmt.Sprintf("Agent %d", i), ModelFamily: agentregistry.ModelMixtral, MaxConcurrentTasks: workersEach,
			Capabilities: agentregistry.Capabilities{TaskTypes: []string{agentregistry.TaskResearch}},
		})
		if err != nil {
			return err
		}
	}
	if err := a.read(ctx, c); err != nil {
		return err
	}
	tasks := make([]orchestrator.Task, a.tasks)
	for i := range tasks {
		tasks[i] = orchestrator.Task{
			ID: fmt.Sprintf("task-%03d", i), Type: orchestrator.Research, Description: a.question(i),
			Priority: 1 + i%10, MaxAttempts: attemptsEach,
		}
	}
	return c.Orchestrator.EnqueueAll(ctx, tasks)
}

// read walks the library: read fetches and keeps each document, and makes an entry of the
// document for searches by meaning and by text.
func (a actor) read(ctx context.Context, c clients) error {
	walk, err := c.Web.StartTraversal(ctx, webnavigator.Traversal{
		SessionID: shelf, StartURL: a.library[0].url(), MaxDepth: 1, MaxPages: len(a.library), Strategy: webnavigator.BreadthFirst,
	})
	if err != nil {
		return err
	}
	for _, d := range a.library {
		if _, err := c.Web.CountRequest(ctx, site, time.Minute, 1000); err != nil {
			return err
		}
		node, _, err := c.Web.AddNode(ctx, webnavigator.Node{TraversalID: walk, URL: d.url()})
		if err != nil {
			return err
		}
		content, _, err := c.Web.StoreContent(ctx, webnavigator.Content{URL: d.url(), Title: d.title, Text: d.body, Quality: webnavigator.QualityHigh})
		if err != nil {
			return err
		}
		if err := c.Web.SetNodeStatus(ctx, node, webnavigator.NodeVisited, content, ""); err != nil {
			return err
		}
		_, err = c.Knowledge.PutEntry(ctx, knowledge.Entry{
			Source: shelf, EntityID: d.name, Kind: "document", Name: d.title, Body: d.body, Confidence: 0.9,
			Embedding: embedText(d.title + "\n" + d.body), EmbeddingModel: "hashed words",
		})
		if err != nil {
			return err
		}
	}
	return c.Web.SetTraversalStatus(ctx, shelf, webnavigator.TraversalCompleted, "")
}
