package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/agentagency/onepool/modules/agentregistry"
	"github.com/agentagency/onepool/modules/knowledge"
	"github.com/agentagency/onepool/modules/orchestrator"
	"github.com/agentagency/onepool/modules/verification"
)

type worker struct {
	actor
	clients
	name     string
	progress *progress
}

// work claims and does tasks until the queue is empty. The worker puts a failed task back
// before the worker's next claim, so no task is left over.
func (w worker) work(ctx context.Context) error {
	for {
		tasks, err := w.Orchestrator.Claim(ctx, 1, w.name)
		if err != nil || len(tasks) == 0 {
			return err
		}
		if err := w.do(ctx, tasks[0]); err != nil {
			return fmt.Errorf("%s: %w", tasks[0].ID, err)
		}
	}
}

// do gives a task to the best agent, finds an answer, verifies the answer, and finishes the
// task by the verdict.
func (w worker) do(ctx context.Context, task orchestrator.Task) error {
	began := time.Now()
	agents, err := w.Agents.FindScored(ctx, agentregistry.Query{TaskType: agentregistry.TaskResearch, Limit: 1})
	if err != nil {
		return err
	}
	if len(agents) == 0 {
		return fmt.Errorf("no agent does %s", agentregistry.TaskResearch)
	}
	agent := agents[0]
	if _, err := w.Agents.AdjustLoad(ctx, agent.ID, 1, 0); err != nil {
		return err
	}
	assignment, err := w.Orchestrator.Assign(ctx, orchestrator.Assignment{
		TaskID: task.ID, AgentID: agent.ID, AgentName: agent.Name, AgentModelFamily: agent.ModelFamily,
		Routing: orchestrator.Routing{Confidence: &agent.Score, Strategy: orchestrator.CapabilityMatch, Reason: agent.Reason},
	}, orchestrator.Held(task))
	if err != nil {
		return err
	}
	attempt := fmt.Sprintf("%s/%d", task.ID, task.Attempts)
	answer, sure, err := w.research(ctx, attempt, agent.ID, task.Description)
	if err != nil {
		return err
	}
	if err := w.verify(ctx, attempt, task.Description, answer, sure); err != nil {
		return err
	}
	now, right := time.Now(), sure >= enough
	execution := orchestrator.Execution{
		TaskID: task.ID, AssignmentID: assignment.ID, CompletedAt: &now, Duration: now.Sub(began),
		Success: &right, Quality: &sure, Retry: true,
	}
	if !right {
		why := "no document answers the question"
		execution.Error = &why
	}
	if _, err := w.Orchestrator.RecordExecution(ctx, execution); err != nil {
		return err
	}
	if right || task.Attempts == attemptsEach {
		w.progress.finished()
	}
	_, err = w.Agents.RecordPerformance(ctx, agent.ID, agentregistry.Metrics{Success: right, QualityScore: sure, LatencyMS: now.Sub(began).Milliseconds(), TaskID: &task.ID})
	if err != nil {
		return err
	}
	_, err = w.Agents.AdjustLoad(ctx, agent.ID, -1, 0)
	return err
}

// research returns the entry that fits the question best, and the share of the question's words
// in the entry.
func (w worker) research(ctx context.Context, id, requester, question string) (knowledge.Hit, float64, error) {
	id, err := w.Knowledge.StoreQuery(ctx, knowledge.Query{
		ID: id, Text: question, Type: knowledge.Factual, MaxResults: 3, Timeout: time.Minute, RequesterID: requester, Priority: 5,
	})
	if err != nil {
		return knowledge.Hit{}, 0, err
	}
	hits, err := w.Knowledge.HybridSearch(ctx, strings.Join(words(question), " or "), embedText(question), knowledge.SearchOptions{K: 3})
	if err != nil {
		return knowledge.Hit{}, 0, err
	}
	if len(hits) == 0 {
		return knowledge.Hit{}, 0, fmt.Errorf("nothing is found for %q", question)
	}
	best := hits[0]
	sure := coverage(question, best.Name+"\n"+best.Body)
	results := make([]knowledge.SearchResult, len(hits))
	for i, h := range hits {
		results[i] = knowledge.SearchResult{
			QueryID: id, Title: h.Name, Content: h.Body, URL: document{name: h.EntityID}.url(), Domain: site, SourceType: knowledge.SourceDocumentation,
			RelevanceScore: coverage(question, h.Name+"\n"+h.Body), CredibilityScore: h.Confidence, Provider: shelf,
		}
	}
	if _, err := w.Knowledge.StoreResults(ctx, results); err != nil {
		return best, sure, err
	}
	_, err = w.Knowledge.StoreResponse(ctx, knowledge.Response{
		QueryID: id, Summary: best.Body, Confidence: sure, SourcesUsed: []string{best.EntityID}, TotalResultsFound: len(hits), Results: results,
	}, knowledge.CompleteQuery())
	return best, sure, err
}

// verify records a verdict on the answer, with the document as evidence.
func (w worker) verify(ctx context.Context, id, question string, answer knowledge.Hit, sure float64) error {
	if err := w.Verification.SaveRequest(ctx, verification.Request{ID: id, Content: question, Types: []verification.MethodType{verification.CrossReference}}); err != nil {
		return err
	}
	verdict := verification.VerifiedTrue
	if sure < enough {
		verdict = verification.VerdictInsufficient
	}
	method := verification.CrossReference
	result := verification.Result{
		RequestID: id, Verdict: verdict, Confidence: sure,
		Methods: []verification.MethodResult{{Method: method, Verdict: verdict, Confidence: sure, EvidenceCount: 1}},
	}
	evidence := []verification.Evidence{{
		Source: document{name: answer.EntityID}.url(), Content: answer.Body, Relevance: sure, Credibility: answer.Confidence,
		Type: verification.Factual, Method: &method,
	}}
	if sure >= enough {
		result.Supporting = evidence
	} else {
		result.Contradicting = evidence
	}
	_, err := w.Verification.SaveResult(ctx, result)
	return err
}
