package main

import (
	"cmp"
	"context"
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
	Requests []verification.Request `json:"requests"`
	Next     string                 `json:"next,omitempty"`
}

// newResult holds the fields of a result that a verifier sets; the database sets the rest.
type newResult struct {
	Verdict        verification.Verdict        `json:"verdict"`
	Confidence     float64                     `json:"confidence"`
	Reasoning      []string                    `json:"reasoning"`
	Supporting     []verification.Evidence     `json:"supporting"`
	Contradicting  []verification.Evidence     `json:"contradicting"`
	Methods        []verification.MethodResult `json:"methods"`
	ProcessingTime time.Duration               `json:"processing_time_ns"`
	Error          *string                     `json:"error"`
	ErrorCode      *string                     `json:"error_code"`
}

func (r newResult) of(request string) verification.Result {
	return verification.Result{
		RequestID: request, Verdict: r.Verdict, Confidence: r.Confidence, Reasoning: list(r.Reasoning),
		Supporting: list(r.Supporting), Contradicting: list(r.Contradicting), Methods: list(r.Methods),
		ProcessingTime: r.ProcessingTime, Error: r.Error, ErrorCode: r.ErrorCode,
	}
}

type newEvidence struct {
	Evidence []verification.Evidence `json:"evidence"`
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
		"POST /verification/requests": makes(http.StatusCreated, nil, func(ctx context.Context, in posted[verification.Request]) (made, error) {
			return made{in.Body.ID}, c.SaveRequest(ctx, in.Body)
		}),
		// The pending requests, for a verifier's next work.
		"GET /verification/requests": gives(func(ctx context.Context, in listed) (requestList, error) {
			page, err := c.PendingPage(ctx, cmp.Or(in.Limit, pageSize), in.After)
			return requestList{list(page.Items), page.Next}, err
		}),
		"PUT /verification/requests/{id}/status": does(func(ctx context.Context, in postedTo[requestStatus]) error {
			return c.SetRequestStatus(ctx, in.ID, in.Body.Status, verification.StatusDetails{
				ProcessingTime: in.Body.ProcessingTime, Error: in.Body.Error, ErrorCode: in.Body.ErrorCode,
			})
		}),
		"POST /verification/requests/{id}/results": makes(http.StatusCreated, nil, func(ctx context.Context, in postedTo[newResult]) (made, error) {
			id, err := c.SaveResult(ctx, in.Body.of(in.ID))
			return made{id}, err
		}),
		"GET /verification/requests/{id}/results/newest": tellsOf(c.Result),
		"POST /verification/results/{id}/evidence": does(func(ctx context.Context, in postedTo[newEvidence]) error {
			return c.AddEvidence(ctx, in.ID, in.Body.Evidence)
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
		"GET /verification/cache": tells(c.CacheStats),
		"POST /verification/cache/lookup": gives(func(ctx context.Context, in posted[question]) (verification.Result, error) {
			result, found, err := c.CacheGet(ctx, in.Body.request())
			return result, orMissing(found, err)
		}),
		"PUT /verification/cache": does(func(ctx context.Context, in posted[newAnswer]) error {
			return c.CachePut(ctx, in.Body.Question.request(), in.Body.Result.of(in.Body.RequestID), in.Body.TTL)
		}),
		"POST /verification/cache/purge": gives(func(ctx context.Context, _ nothing) (affected, error) {
			n, err := c.CachePurge(ctx)
			return affected{n}, err
		}),
	}
}
