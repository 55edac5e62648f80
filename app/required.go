package main

import (
	"reflect"

	"github.com/agentagency/onepool/modules/agentregistry"
	"github.com/agentagency/onepool/modules/knowledge"
	"github.com/agentagency/onepool/modules/verification"
)

// required are the fields that an object of a body must have, by the object's type. Without the
// field a number would be 0, and a switch would be off: a verdict without a confidence is no
// verdict of confidence 0. The clients refuse further zero values with an error of their own.
var required = map[reflect.Type][]string{
	reflect.TypeFor[agentregistry.Metrics]():     {"success", "quality_score", "latency_ms"},
	reflect.TypeFor[feedback]():                  {"success"},
	reflect.TypeFor[newResponse]():               {"confidence"},
	reflect.TypeFor[knowledge.SearchResult]():    {"relevance_score", "credibility_score"},
	reflect.TypeFor[newResult]():                 {"confidence"},
	reflect.TypeFor[newResults]():                {"results"},
	reflect.TypeFor[newEvidence]():               {"evidence"},
	reflect.TypeFor[verification.MethodResult](): {"confidence", "processing_time_ns"},
	reflect.TypeFor[listedEvidence]():            {"relevance", "credibility"},
	reflect.TypeFor[sidedEvidence]():             {"relevance", "credibility", "supporting"},
}
