package knowledge

import "github.com/agentagency/onepool/modules/internal/status"

// QueryType is the kind of answer that a query wants.
type QueryType string

// The query types.
const (
	Factual     QueryType = "factual"
	Explanatory QueryType = "explanatory"
	Comparative QueryType = "comparative"
	Trend       QueryType = "trend"
	Technical   QueryType = "technical"
)

// SourceType is the kind of a result's source.
type SourceType string

// The source types.
const (
	SourceWeb           SourceType = "web"
	SourceAcademic      SourceType = "academic"
	SourceNews          SourceType = "news"
	SourceDocumentation SourceType = "documentation"
	SourceSocial        SourceType = "social"
	SourceInternal      SourceType = "internal"
)

// Quality is how good a result is.
type Quality string

// The qualities.
const (
	QualityHigh       Quality = "high"
	QualityMedium     Quality = "medium"
	QualityLow        Quality = "low"
	QualityUnreliable Quality = "unreliable"
)

// Status is how far a query has come.
type Status string

// The statuses of a query.
const (
	Pending    Status = "pending"
	Processing Status = "processing"
	Completed  Status = "completed"
	Failed     Status = "failed"
)

// CacheType is the kind of a cache entry's content.
type CacheType string

// The cache types.
const (
	CacheQueryResult  CacheType = "query_result"
	CacheSearchResult CacheType = "search_result"
	CacheResponse     CacheType = "response"
)

// moves are the moves of a query: a failed query may run again, a completed query stays
// completed.
var moves = status.Moves[Status]{
	Pending:    {Pending, Processing, Failed},
	Processing: {Pending, Processing, Failed},
	Completed:  {Pending, Processing, Completed},
	Failed:     {Pending, Processing, Failed},
}

// closedToResults are the queries that have ended: a late result is no part of the response.
var closedToResults = status.Closed[Status]{
	Completed: "store a new query",
	Failed:    failedQuery,
}

// closedToResponses has no completed query: a query may have further responses.
var closedToResponses = status.Closed[Status]{Failed: failedQuery}

const failedQuery = "set the query's status to processing first"

var (
	queryTypes  = []QueryType{Factual, Explanatory, Comparative, Trend, Technical}
	sourceTypes = []SourceType{SourceWeb, SourceAcademic, SourceNews, SourceDocumentation, SourceSocial, SourceInternal}
	qualities   = []Quality{QualityHigh, QualityMedium, QualityLow, QualityUnreliable}
	statuses    = []Status{Pending, Processing, Completed, Failed}
	cacheTypes  = []CacheType{CacheQueryResult, CacheSearchResult, CacheResponse}
)
