package webnavigator

import "github.com/agentagency/onepool/modules"

// Quality is how good a page's content is.
type Quality string

// The qualities.
const (
	QualityHigh    Quality = "high"
	QualityMedium  Quality = "medium"
	QualityLow     Quality = "low"
	QualityUnknown Quality = "unknown"
)

// ExtractionType is what was taken from a page.
type ExtractionType string

// The extraction types.
const (
	FullPage        ExtractionType = "full_page"
	MainContent     ExtractionType = "main_content"
	SpecificElement ExtractionType = "specific_element"
	MetadataOnly    ExtractionType = "metadata"
)

// LinkType is where a link leads: to the page's own site or elsewhere.
type LinkType string

// The link types.
const (
	Internal LinkType = "internal"
	External LinkType = "external"
)

// Strategy is the order in which a traversal visits pages.
type Strategy string

// The strategies.
const (
	BreadthFirst   Strategy = "breadth_first"
	DepthFirst     Strategy = "depth_first"
	RelevanceBased Strategy = "relevance_based"
)

// TraversalStatus is how far a traversal has come.
type TraversalStatus string

// The statuses of a traversal.
const (
	TraversalPending   TraversalStatus = "pending"
	TraversalRunning   TraversalStatus = "running"
	TraversalCompleted TraversalStatus = "completed"
	TraversalFailed    TraversalStatus = "failed"
)

// NodeStatus is what became of a page of a traversal.
type NodeStatus string

// The statuses of a node.
const (
	NodePending NodeStatus = "pending"
	NodeVisited NodeStatus = "visited"
	NodeSkipped NodeStatus = "skipped"
	NodeError   NodeStatus = "error"
)

// RateStatus is whether a site takes requests.
type RateStatus string

// The rate statuses.
const (
	RateOK        RateStatus = "ok"
	RateThrottled RateStatus = "throttled"
	RateBlocked   RateStatus = "blocked"
)

// traversalMoves are how a traversal goes on: one that has failed may run again, one that
// is completed stays so.
var traversalMoves = modules.Moves[TraversalStatus]{
	TraversalPending:   {TraversalPending, TraversalRunning},
	TraversalRunning:   {TraversalPending, TraversalRunning, TraversalFailed},
	TraversalCompleted: {TraversalRunning, TraversalCompleted},
	TraversalFailed:    {TraversalPending, TraversalRunning, TraversalFailed},
}

var (
	qualities         = []Quality{QualityHigh, QualityMedium, QualityLow, QualityUnknown}
	extractionTypes   = []ExtractionType{FullPage, MainContent, SpecificElement, MetadataOnly}
	linkTypes         = []LinkType{Internal, External}
	strategies        = []Strategy{BreadthFirst, DepthFirst, RelevanceBased}
	traversalStatuses = []TraversalStatus{TraversalPending, TraversalRunning, TraversalCompleted, TraversalFailed}
	nodeStatuses      = []NodeStatus{NodePending, NodeVisited, NodeSkipped, NodeError}
	rateStatuses      = []RateStatus{RateOK, RateThrottled, RateBlocked}
)
