package webnavigator

import "github.com/agentagency/onepool/modules/internal/status"

// Quality is how good a page's content is.
type Quality string

// The qualities.
const (
	QualityHigh    Quality = "high"
	QualityMedium  Quality = "medium"
	QualityLow     Quality = "low"
	QualityUnknown Quality = "unknown"
)

// ExtractionType is the kind of data taken from a page.
type ExtractionType string

// The extraction types.
const (
	FullPage        ExtractionType = "full_page"
	MainContent     ExtractionType = "main_content"
	SpecificElement ExtractionType = "specific_element"
	MetadataOnly    ExtractionType = "metadata"
)

// LinkType is the target of a link: the page's own site or a foreign site.
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

// NodeStatus is the state of a page in a traversal.
type NodeStatus string

// The statuses of a node.
const (
	NodePending NodeStatus = "pending"
	NodeVisited NodeStatus = "visited"
	NodeSkipped NodeStatus = "skipped"
	NodeError   NodeStatus = "error"
)

// RateStatus reports whether a site takes requests.
type RateStatus string

// The rate statuses.
const (
	RateOK        RateStatus = "ok"
	RateThrottled RateStatus = "throttled"
	RateBlocked   RateStatus = "blocked"
)

// traversalMoves are the moves of a traversal: a failed traversal may run again, a completed
// traversal stays completed.
var traversalMoves = status.Moves[TraversalStatus]{
	TraversalPending:   {TraversalPending, TraversalRunning},
	TraversalRunning:   {TraversalPending, TraversalRunning, TraversalFailed},
	TraversalCompleted: {TraversalRunning, TraversalCompleted},
	TraversalFailed:    {TraversalPending, TraversalRunning, TraversalFailed},
}

// closedTraversals are the traversals that have ended: neither the pages nor the figures change.
var closedTraversals = status.Closed[TraversalStatus]{
	TraversalCompleted: "start a new traversal",
	TraversalFailed:    "set the traversal's status to running first",
}

// nodeMoves are the moves of a page in a traversal: a page with an error may be tried again, a
// visited or skipped page stays visited or skipped.
var nodeMoves = status.Moves[NodeStatus]{
	NodePending: {NodePending, NodeError},
	NodeVisited: {NodePending, NodeVisited, NodeError},
	NodeSkipped: {NodePending, NodeSkipped, NodeError},
	NodeError:   {NodePending, NodeError},
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
