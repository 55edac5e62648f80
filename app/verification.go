package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/agentagency/onepool/modules/verification"
)

type requestStatus struct {
	Status         verification.Status `json:"status"`
	ProcessingTime *time.Duration      `json:"processing_time_ns"`
	Error          *string             `json:"error"`
	ErrorCode      *string             `json:"error_code"`
}

type requestList struct {
	Requests []verification.StoredRequest `json:"requests"`
	Next     string                       `json:"next,omitempty"`
}

type verdictList struct {
	Results []verification.Result `json:"results"`
	Next    string                `json:"next,omitempty"`
}

// newResult holds the fields of a result that a verifier sets; the database sets the rest.
type newResult struct {
	Verdict        verification.Verdict        `json:"verdict"`
	Confidence     float64                     `json:"confidence"`
	Reasoning      []string                    `json:"reasoning"`
	Supporting     []listedEvidence            `json:"supporting"`
	Contradicting  []listedEvidence            `json:"contradicting"`
	Methods        []verification.MethodResult `json:"methods"`
	ProcessingTime time.Duration               `json:"processing_time_ns"`
	Error          *string                     `json:"error"`
	ErrorCode      *string                     `json:"error_code"`
}

// of returns the result of a request. path is the path of r in the body, for errors.
func (r newResult) of(request, path string) (verification.Result, error) {
	supporting, err := onSide(r.Supporting, true, path+"supporting")
	contradicting, err2 := onSide(r.Contradicting, false, path+"contradicting")
	return verification.Result{
		RequestID: request, Verdict: r.Verdict, Confidence: r.Confidence, Reasoning: list(r.Reasoning),
		Supporting: supporting, Contradicting: contradicting, Methods: list(r.Methods),
		ProcessingTime: r.ProcessingTime, Error: r.Error, ErrorCode: r.ErrorCode,
	}, cmp.Or(err, err2)
}

// listedEvidence is evidence of a result, in a list that says which side the evidence is on.
type listedEvidence struct {
	verification.Evidence
	Supporting *bool `json:"supporting"` // nil: as the list says
}

// onSide refuses evidence that contradicts its list.
func onSide(listed []listedEvidence, supporting bool, path string) ([]verification.Evidence, error) {
	all := make([]verification.Evidence, len(listed))
	for i, e := range listed {
		if e.Supporting != nil && *e.Supporting != supporting {
			return nil, badRequest(fmt.Sprintf("%s[%d].supporting must be %t, or left out", path, i, supporting))
		}
		all[i] = e.Evidence
	}
	return all, nil
}

// sidedEvidence is evidence outside a result.
type sidedEvidence struct{ verification.Evidence }

type newEvidence struct {
	Evidence []sidedEvidence `json:"evidence"`
}

func (n newEvidence) evidence() []verification.Evidence {
	all := make([]verification.Evidence, len(n.Evidence))
	for i, e := range n.Evidence {
		all[i] = e.Evidence
	}
	return all
}

type evidenceQualities struct {
	Methods []verification.EvidenceQuality `json:"methods"`
}

type methodList struct {
	Methods []verification.MethodPerformance `json:"methods"`
}

// question is the part of a request that identifies an entry of the cache.
type question struct {
	Content string                    `json:"content"`
	Source  *string                   `json:"source"`
	Types   []verification.MethodType `json:"types"`
}

func (q question) request() verification.Request {
	return verification.Request{Content: q.Content, Source: q.Source, Types: q.Types}
}

type newAnswer struct {
	Question  question      `json:"question"`
	RequestID string        `json:"request_id"` // of the answered request
	Result    newResult     `json:"result"`
	TTL       time.Duration `json:"ttl_ns"`
}

func verificationRoutes(c *verification.Client) routes {
	return routes{
		"POST /verification/requests": makes(http.StatusCreated, at("/verification/requests/"), func(ctx context.Context, in posted[verification.Request]) (made, error) {
			return made{in.Body.ID}, c.SaveRequest(ctx, in.Body)
		}),
		// The requests in a status: by default the pending requests, for a verifier's next work.
		"GET /verification/requests": gives(func(ctx context.Context, in listedBy[verification.Status]) (requestList, error) {
			page, err := c.RequestsPage(ctx, cmp.Or(in.Status, verification.Pending), in.Limit, in.After)
			return requestList{list(page.Items), page.Next}, err
		}),
		"GET /verification/requests/{id}": readsOf(c.Request),
		"PUT /verification/requests/{id}/status": does(func(ctx context.Context, in postedTo[requestStatus]) error {
			return c.SetRequestStatus(ctx, in.ID, in.Body.Status, verification.StatusDetails{
				ProcessingTime: in.Body.ProcessingTime, Error: in.Body.Error, ErrorCode: in.Body.ErrorCode,
			})
		}),
		"POST /verification/requests/{id}/results": makes(http.StatusCreated, nil, func(ctx context.Context, in postedTo[newResult]) (made, error) {
			result, err := in.Body.of(in.ID, "")
			if err != nil {
				return made{}, err
			}
			id, err := c.SaveResult(ctx, result)
			return made{id}, err
		}),
		"GET /verification/requests/{id}/results": gives(func(ctx context.Context, in listedOf) (verdictList, error) {
			page, err := c.ResultsPage(ctx, in.ID, in.Limit, in.After)
			return verdictList{list(page.Items), page.Next}, err
		}),
		"GET /verification/requests/{id}/results/newest": readsOf(c.Result),
		"POST /verification/results/{id}/evidence": does(func(ctx context.Context, in postedTo[newEvidence]) error {
			if len(in.Body.Evidence) == 0 {
				return badRequest("evidence must not be empty")
			}
			return c.AddEvidence(ctx, in.ID, in.Body.evidence())
		}),
		"GET /verification/evidence/quality": gives(func(ctx context.Context, _ nothing) (evidenceQualities, error) {
			methods, err := c.EvidenceQuality(ctx)
			return evidenceQualities{list(methods)}, err
		}),

		// The methods are the same for all tenants. Only an operator sets up methods and
		// records runs.
		"GET /verification/methods": gives(func(ctx context.Context, _ nothing) (methodList, error) {
			methods, err := c.MethodPerformance(ctx)
			return methodList{list(methods)}, err
		}),
		"GET /verification/cache": reads(c.CacheStats),
		"POST /verification/cache/lookup": gives(func(ctx context.Context, in posted[question]) (verification.Result, error) {
			result, found, err := c.CacheGet(ctx, in.Body.request())
			return result, orMissing(found, err)
		}),
		"PUT /verification/cache": does(func(ctx context.Context, in posted[newAnswer]) error {
			result, err := in.Body.Result.of(in.Body.RequestID, "result.")
			if err != nil {
				return err
			}
			return c.CachePut(ctx, in.Body.Question.request(), result, in.Body.TTL)
		}),
		"POST /verification/cache/purge": gives(func(ctx context.Context, _ nothing) (affected, error) {
			n, err := c.CachePurge(ctx)
			return affected{n}, err
		}),
	}
}
