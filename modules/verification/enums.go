package verification

// Priority is how urgent a request is.
type Priority string

// The priorities.
const (
	Low      Priority = "low"
	Medium   Priority = "medium"
	High     Priority = "high"
	Critical Priority = "critical"
)

// MethodType is a way to verify something.
type MethodType string

// The method types.
const (
	FactChecking          MethodType = "fact_checking"
	SourceCredibility     MethodType = "source_credibility"
	CrossReference        MethodType = "cross_reference"
	ConsistencyCheck      MethodType = "consistency_check"
	LogicalValidation     MethodType = "logical_validation"
	StatisticalValidation MethodType = "statistical_validation"
	InsufficientData      MethodType = "insufficient_data"
)

// Status is the state of a request. The last three statuses are final.
type Status string

// The statuses of a request.
const (
	Pending    Status = "pending"
	Processing Status = "processing"
	Completed  Status = "completed"
	Failed     Status = "failed"
	Cancelled  Status = "cancelled"
)

// Verdict is the outcome of a verification.
type Verdict string

// The verdicts.
const (
	VerifiedTrue        Verdict = "verified_true"
	VerifiedFalse       Verdict = "verified_false"
	PartiallyTrue       Verdict = "partially_true"
	Unverified          Verdict = "unverified"
	Contradictory       Verdict = "contradictory"
	VerdictInsufficient Verdict = "insufficient_data"
	Mixed               Verdict = "mixed"
	VerdictError        Verdict = "error"
)

// EvidenceType is the kind of a piece of evidence.
type EvidenceType string

// The evidence types. An unknown type is stored as General, with the original in the metadata.
const (
	Factual     EvidenceType = "factual"
	Statistical EvidenceType = "statistical"
	Testimonial EvidenceType = "testimonial"
	Logical     EvidenceType = "logical"
	Anecdotal   EvidenceType = "anecdotal"
	General     EvidenceType = "general"
)

var (
	priorities  = []Priority{Low, Medium, High, Critical}
	methodTypes = []MethodType{
		FactChecking, SourceCredibility, CrossReference, ConsistencyCheck, LogicalValidation, StatisticalValidation, InsufficientData,
	}
	statuses = []Status{Pending, Processing, Completed, Failed, Cancelled}
	verdicts = []Verdict{
		VerifiedTrue, VerifiedFalse, PartiallyTrue, Unverified, Contradictory, VerdictInsufficient, Mixed, VerdictError,
	}
	evidenceTypes = []EvidenceType{Factual, Statistical, Testimonial, Logical, Anecdotal, General}
)
