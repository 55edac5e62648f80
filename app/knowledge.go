package main

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/knowledge"
)

type newQuery struct {
	knowledge.Query
	Pending bool `json:"pending"` // stored for later
}

type queryStatus struct {
	Status knowledge.Status `json:"status"`
	Error  string           `json:"error"`
}

type queryList struct {
	Queries []knowledge.StoredQuery `json:"queries"`
	Next    string                  `json:"next,omitempty"`
}

type resultList struct {
	Results []knowledge.SearchResult `json:"results"`
	Next    string                   `json:"next,omitempty"`
}

type responseList struct {
	Responses []knowledge.StoredResponse `json:"responses"`
	Next      string                     `json:"next,omitempty"`
}

type newResults struct {
	Results []knowledge.SearchResult `json:"results"`
}

type newResponse struct {
	knowledge.Response
	CompleteQuery bool `json:"complete_query"`
}

// entity names a source and an entity of the source.
type entity struct {
	Source string `path:"source"`
	Entity string `path:"entity"`
}

// newEntry holds the fields of an entry that a caller sets; the database sets the rest.
type newEntry struct {
	Kind           string         `json:"kind"`
	Name           string         `json:"name"`
	Body           string         `json:"body"`
	Embedding      []float32      `json:"embedding"`
	EmbeddingModel string         `json:"embedding_model"`
	Confidence     *float64       `json:"confidence"`
	Metadata       map[string]any `json:"metadata"`
}

type feedback struct {
	Success bool           `json:"success"`
	Context map[string]any `json:"context"`
}

type confidence struct {
	Confidence float64 `json:"confidence"`
}

// knowledgeSearch is by text, by embedding, or by both.
type knowledgeSearch struct {
	Text      string    `json:"text"`
	Embedding []float32 `json:"embedding"`
	knowledge.SearchOptions
	After string `json:"after"`
}

func (s knowledgeSearch) page(ctx context.Context, c *knowledge.Client) (modules.Page[knowledge.Hit], error) {
	switch {
	case s.Embedding == nil: // without a text the client names the missing argument
		return c.SearchTextPage(ctx, s.Text, s.SearchOptions, s.After)
	case s.Text == "":
		return c.SearchSimilarPage(ctx, s.Embedding, s.SearchOptions, s.After)
	}
	return c.HybridSearchPage(ctx, s.Text, s.Embedding, s.SearchOptions, s.After)
}

type hitList struct {
	Hits []knowledge.Hit `json:"hits"`
	Next string          `json:"next,omitempty"`
}

type cacheKey struct {
	Key string `path:"key"`
}

type cached struct {
	Content json.RawMessage `json:"content"`
}

type newCached struct {
	Content json.RawMessage     `json:"content"`
	TTL     time.Duration       `json:"ttl_ns"`
	Type    knowledge.CacheType `json:"type"`
}

type provider struct {
	Provider string `path:"provider"`
}

func knowledgeRoutes(c *knowledge.Client) routes {
	return routes{
		"POST /knowledge/queries": makes(http.StatusCreated, at("/knowledge/queries/"), func(ctx context.Context, in posted[newQuery]) (made, error) {
			var opts []knowledge.QueryOption
			if in.Body.Pending {
				opts = append(opts, knowledge.AsPending())
			}
			id, err := c.StoreQuery(ctx, in.Body.Query, opts...)
			return made{id}, err
		}),
		"GET /knowledge/queries": gives(func(ctx context.Context, in listedBy[knowledge.Status]) (queryList, error) {
			page, err := c.QueriesPage(ctx, knowledge.QueryFilter{Status: in.Status, Limit: in.Limit, After: in.After})
			return queryList{list(page.Items), page.Next}, err
		}),
		"GET /knowledge/queries/{id}": readsOf(c.Query),
		"GET /knowledge/queries/{id}/results": gives(func(ctx context.Context, in listedOf) (resultList, error) {
			page, err := c.SearchResultsPage(ctx, in.ID, in.Limit, in.After)
			return resultList{list(page.Items), page.Next}, err
		}),
		"GET /knowledge/queries/{id}/responses": gives(func(ctx context.Context, in listedOf) (responseList, error) {
			page, err := c.ResponsesPage(ctx, in.ID, in.Limit, in.After)
			return responseList{list(page.Items), page.Next}, err
		}),
		"PUT /knowledge/queries/{id}/status": does(func(ctx context.Context, in postedTo[queryStatus]) error {
			return c.SetQueryStatus(ctx, in.ID, in.Body.Status, in.Body.Error)
		}),
		"POST /knowledge/queries/{id}/results": gives(func(ctx context.Context, in postedTo[newResults]) (affected, error) {
			if len(in.Body.Results) == 0 {
				return affected{}, badRequest("results must not be empty")
			}
			for i := range in.Body.Results {
				if err := fromPath("query_id", &in.Body.Results[i].QueryID, in.ID); err != nil {
					return affected{}, err
				}
			}
			n, err := c.StoreResults(ctx, in.Body.Results)
			return affected{n}, err
		}),
		"POST /knowledge/queries/{id}/response": makes(http.StatusCreated, nil, func(ctx context.Context, in postedTo[newResponse]) (made, error) {
			if err := fromPath("query_id", &in.Body.QueryID, in.ID); err != nil {
				return made{}, err
			}
			var opts []knowledge.ResponseOption
			if in.Body.CompleteQuery {
				opts = append(opts, knowledge.CompleteQuery())
			}
			id, err := c.StoreResponse(ctx, in.Body.Response, opts...)
			return made{id}, err
		}),

		"GET /knowledge/sources/{source}/entities/{entity}": gives(func(ctx context.Context, in entity) (knowledge.Entry, error) {
			return c.GetEntry(ctx, in.Source, in.Entity)
		}),
		"PUT /knowledge/sources/{source}/entities/{entity}": gives(func(ctx context.Context, in struct {
			Source string `path:"source"`
			Entity string `path:"entity"`
			Body   newEntry
		}) (made, error) {
			e := in.Body
			entry := knowledge.Entry{
				Source: in.Source, EntityID: in.Entity, Kind: e.Kind, Name: e.Name, Body: e.Body,
				Embedding: e.Embedding, EmbeddingModel: e.EmbeddingModel, Confidence: 1, Metadata: e.Metadata,
			}
			var opts []knowledge.EntryOption
			if e.Confidence != nil {
				entry.Confidence = *e.Confidence
				opts = append(opts, knowledge.ResetConfidence())
			}
			id, err := c.PutEntry(ctx, entry, opts...)
			return made{id}, err
		}),
		"DELETE /knowledge/sources/{source}": gives(func(ctx context.Context, in struct {
			Source string `path:"source"`
		}) (affected, error) {
			n, err := c.DeleteEntries(ctx, in.Source)
			return affected{n}, err
		}),
		"POST /knowledge/entries/{id}/feedback": gives(func(ctx context.Context, in postedTo[feedback]) (confidence, error) {
			now, err := c.ReinforceEntry(ctx, in.ID, in.Body.Success, in.Body.Context)
			return confidence{now}, err
		}),
		"POST /knowledge/decay": gives(func(ctx context.Context, _ nothing) (affected, error) {
			n, err := c.DecayEntries(ctx)
			return affected{n}, err
		}),
		"GET /knowledge/stats": gives(func(ctx context.Context, in struct {
			Source string `query:"source"`
			Kind   string `query:"kind"`
		}) (knowledge.EntryStats, error) {
			return c.EntryStats(ctx, in.Source, in.Kind)
		}),
		"POST /knowledge/search": gives(func(ctx context.Context, in posted[knowledgeSearch]) (hitList, error) {
			page, err := in.Body.page(ctx, c)
			return hitList{list(page.Items), page.Next}, err
		}),

		"GET /knowledge/cache": reads(c.CacheStats),
		"POST /knowledge/cache/purge": gives(func(ctx context.Context, _ nothing) (affected, error) {
			n, err := c.CachePurge(ctx)
			return affected{n}, err
		}),
		"GET /knowledge/cache/{key}": gives(func(ctx context.Context, in cacheKey) (cached, error) {
			content, found, err := c.CacheGet(ctx, in.Key)
			return cached{content}, orMissing(found, err)
		}),
		"PUT /knowledge/cache/{key}": does(func(ctx context.Context, in struct {
			Key  string `path:"key"`
			Body newCached
		}) error {
			return renamed(c.CachePut(ctx, in.Key, in.Body.Content, in.Body.TTL, in.Body.Type), "kind", "type")
		}),

		// The health of providers is the same for all tenants, and an operator's to set.
		"GET /knowledge/providers/{provider}": gives(func(ctx context.Context, in provider) (knowledge.ProviderHealth, error) {
			return c.ProviderHealth(ctx, in.Provider)
		}),
	}
}

// fromPath fills a field of the body from the path. The body may leave out the field.
func fromPath(field string, value *string, path string) error {
	if *value != "" && *value != path {
		return badRequest(field + " is not the one in the path")
	}
	*value = path
	return nil
}

// orMissing returns modules.ErrNotFound if a cache found nothing.
func orMissing(found bool, err error) error {
	if err == nil && !found {
		err = modules.ErrNotFound
	}
	return err
}
