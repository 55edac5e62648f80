package rls

import (
	"cmp"
	"io"
)

type sarifText struct {
	Text string `json:"text"`
}

type sarifRule struct {
	ID               string         `json:"id"`
	ShortDescription sarifText      `json:"shortDescription"`
	Configuration    map[string]any `json:"defaultConfiguration"`
	Properties       map[string]any `json:"properties,omitempty"`
}

type sarifResult struct {
	RuleID       string            `json:"ruleId"`
	RuleIndex    int               `json:"ruleIndex"`
	Level        string            `json:"level"`
	Message      sarifText         `json:"message"`
	Locations    []any             `json:"locations"`
	Fingerprints map[string]string `json:"partialFingerprints"`
	Suppressions []any             `json:"suppressions,omitempty"`
	Properties   map[string]any    `json:"properties"`
}

// WriteSARIF writes the findings as SARIF 2.1.0, for code scanning. The location of a finding
// is the name of its object. An allowed finding is suppressed with the reason.
func (r Report) WriteSARIF(w io.Writer) error {
	rules, index := sarifRules()
	results := make([]sarifResult, 0, len(r.Findings))
	for _, f := range r.Findings {
		result := sarifResult{
			RuleID: f.Code, RuleIndex: index[f.Code], Level: sarifLevel(f.Level),
			Message: sarifText{f.Object + ": " + f.Consequence},
			Locations: []any{map[string]any{
				"logicalLocations": []any{map[string]any{"fullyQualifiedName": f.Object, "kind": "object"}},
				// Code scanning shows only results with a file: the database stands for the file.
				"physicalLocation": map[string]any{"artifactLocation": map[string]any{"uri": "database", "index": 0}},
			}},
			Fingerprints: map[string]string{"codeAndObject/v1": f.Code + ":" + f.Object},
			Properties:   map[string]any{"fix": f.Fix},
		}
		if f.Direction != "" {
			result.Properties["direction"] = f.Direction
		}
		if f.Allowed != "" {
			result.Suppressions = []any{map[string]any{"kind": "external", "status": "accepted", "justification": f.Allowed}}
		}
		results = append(results, result)
	}
	return writeJSON(w, map[string]any{
		"version": "2.1.0",
		"$schema": "https://json.schemastore.org/sarif-2.1.0.json",
		"runs": []any{map[string]any{
			"tool": map[string]any{"driver": map[string]any{
				"name": "onepool", "informationUri": "https://github.com/agentagency/onepool", "rules": rules,
			}},
			"artifacts": []any{map[string]any{
				"location":    map[string]any{"uri": "database"},
				"description": sarifText{"database " + r.Database + " as role " + r.Role},
			}},
			"results": results,
		}},
	})
}

func sarifRules() (rules []sarifRule, index map[string]int) {
	index = make(map[string]int)
	for i, c := range checks {
		index[c.code] = i
		rules = append(rules, sarifRule{
			ID: c.code, ShortDescription: sarifText{c.summary},
			Configuration: map[string]any{"level": sarifLevel(c.level)},
			Properties:    map[string]any{"direction": cmp.Or(string(c.direction), "cost")},
		})
	}
	return rules, index
}

func sarifLevel(l Level) string {
	if l == LevelWarn {
		return "warning"
	}
	return string(l)
}
