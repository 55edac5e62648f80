package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
)

func TestTasksOverHTTP(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	acme, globex := newCallers(t)

	const task = `{"id": "t1", "type": "research", "description": "Read the manual.", "priority": 5, "timeout_ns": 60000000000, "budget": {"max_files": 1}, "required_capabilities": {"language": "Go"}}`
	acme.call("POST /tasks", task, 201, `{"id":"t1"}`)
	globex.call("POST /tasks", task, 201)
	acme.call("POST /tasks", `{"id": "t2", "type": "juggling"}`, 400, `type must`)
	acme.call("POST /tasks", `{"id": "t2", "type": "general", "status": "completed"}`, 400, `unknown field`)
	acme.call("POST /tasks/batch", `{"tasks": [{"id": "t2", "type": "general"}, {"id": "t3", "type": "general", "max_attempts": 1}, {"id": "t4", "type": "analysis"}]}`, 200, `{"count":3}`)
	acme.call("POST /tasks/batch", `{"tasks": [{"id": "t5", "type": "general"}, {"id": "t5", "type": "general"}]}`, 400)
	acme.call("GET /tasks", "", 200, `"id":"t4"`)
	acme.call("GET /tasks?limit=1", "", 200, `{"tasks":[{"id":"t1"`)
	acme.call("GET /tasks?limit=1&after=t1", "", 200, `{"tasks":[{"id":"t`)
	acme.call("GET /tasks?after=none", "", 404, `task not found`)
	acme.call("GET /tasks?after=t1&overdue=true", "", 400, `after must be the next of an earlier page`)
	acme.call("GET /tasks?status=queued&overdue=true", "", 400, `overdue goes with no status`)
	acme.call("GET /tasks?status=completed", "", 200, `{"tasks":[]}`)
	acme.call("GET /tasks?status=odd", "", 400, `status must be one of`)
	acme.call("GET /tasks?limit=x", "", 400)
	acme.call("GET /tasks?overdue=true", "", 200, `{"tasks":[]}`)
	acme.call("GET /tasks?overdue=yes", "", 400, `overdue must be true or false`)
	globex.call("GET /tasks/t2", "", 404, `task not found`)
	globex.call("GET /queue/stats", "", 200, `"depth":1`)

	claim := func(tenant caller) (id, held string) {
		tasks := tenant.call("POST /queue/claim", `{"worker": "w1"}`, 200)["tasks"].([]any)
		require.Len(t, tasks, 1)
		task := tasks[0].(map[string]any)
		h, err := json.Marshal(map[string]any{"attempts": task["attempts"], "dequeued_at": task["dequeued_at"]})
		require.NoError(t, err)
		return task["id"].(string), string(h)
	}
	first, held := claim(acme)
	require.Equal(t, "t1", first)
	acme.call("POST /queue/claim", `{"worker": ""}`, 400, `worker must`)
	acme.call("GET /tasks/t1", "", 200, `"status":"dequeued"`, `"claimed_by":"w1"`)
	acme.call("GET /tasks?status=dequeued", "", 200, `{"tasks":[{"id":"t1"`)
	acme.call("POST /tasks", task, 409, `task is dequeued`)

	const late = `{"attempts": 9, "dequeued_at": "2026-01-01T00:00:00Z"}`
	const agent = `"agent_id": "ada", "agent_name": "Ada", "agent_model_family": "claude-3.5"`
	acme.call("POST /tasks/t1/assignments", `{`+agent+`, "routing": {"strategy": "ucb"}, "held": `+late+`}`, 409, `"type":"/problems/not_held"`)
	assignment := acme.id("POST /tasks/t1/assignments", `{`+agent+`, "routing": {"strategy": "capability-match", "confidence": 0.8, "reason": "it knows Go"}, "held": `+held+`}`, 201)
	acme.call("POST /tasks/t1/assignments", `{`+agent+`, "routing": {"strategy": "ucb"}}`, 409, `assigned already`)
	acme.call("POST /tasks/t9/assignments", `{`+agent+`, "routing": {"strategy": "ucb"}}`, 404)
	acme.call("POST /tasks/t1/assignments", `{}`, 400)
	acme.call("PATCH /assignments/"+assignment, `{"status": "acknowledged", "progress": 0.5}`, 204)
	acme.call("PATCH /assignments/"+assignment, `{"progress": 2}`, 400)
	acme.call("PATCH /assignments/none", `{"progress": 0.5}`, 404)
	acme.call("GET /assignments/"+assignment, "", 200, `"progress":0.5`)
	globex.call("GET /assignments/"+assignment, "", 404)
	acme.call("GET /assignments?agent=ada&status=acknowledged&limit=10", "", 200, assignment)
	acme.call("GET /assignments?after="+assignment, "", 200, `{"assignments":[]}`)
	acme.call("GET /assignments?after=none", "", 404, `assignment not found`)
	acme.call("GET /assignments?after=x&overdue=true", "", 400, `after must be the next of an earlier page`)
	acme.call("GET /assignments?agent=bob", "", 200, `{"assignments":[]}`)
	acme.call("GET /assignments?overdue=true", "", 200, `{"assignments":[]}`)
	acme.call("GET /assignments?overdue=true&agent=ada", "", 400, `goes with no filter`)
	globex.call("GET /assignments", "", 200, `{"assignments":[]}`)

	soon := time.Now().Add(time.Minute).UTC().Format(time.RFC3339)
	acme.call("POST /tasks/t1/executions", `{"assignment_id": "`+assignment+`", "completed_at": "2999-01-01T00:00:00Z", "success": true}`, 400, `ahead of the database's clock`)
	run := acme.id("POST /tasks/t1/executions", `{"assignment_id": "`+assignment+`"}`, 201)
	acme.call("POST /tasks/t1/executions", `{"id": "`+run+`", "assignment_id": "`+assignment+`", "completed_at": "`+soon+`", "success": true, "quality": 0.9, "tokens": 100, "violations": []}`, 201, run)
	acme.call("POST /tasks/t1/executions", `{"assignment_id": "`+assignment+`"}`, 409, `"type":"/problems/not_held"`, `task is completed`)
	acme.call("POST /tasks/t1/assignments", `{`+agent+`, "routing": {"strategy": "ucb"}}`, 409, `task is completed: its status does not allow this: enqueue a new task`)
	acme.call("POST /tasks/t9/executions", `{"agent_id": "ada", "agent_name": "Ada"}`, 404)
	acme.call("POST /tasks/t1/executions", `{"task_id": "t2"}`, 400, `not the one in the path`)
	acme.call("GET /tasks/t1/executions", "", 200, run, `"quality":0.9`)
	acme.call("GET /tasks/t2/executions", "", 200, `{"executions":[]`)
	globex.call("GET /tasks/t1/executions", "", 200, `{"executions":[]}`)
	acme.call("GET /tasks/t9/executions", "", 404, "task not found")
	acme.call("GET /tasks/t1", "", 200, `"status":"completed"`)
	acme.call("PATCH /assignments/"+assignment, `{"progress": 1}`, 409)

	second, held := claim(acme)
	require.Equal(t, "t2", second)
	acme.call("POST /tasks/t2/complete", `{"held": `+late+`}`, 409, `"type":"/problems/not_held"`)
	acme.call("POST /tasks/t2/fail", `{"error": "the manual is torn", "retry": true, "held": `+held+`}`, 200, `{"requeued":true}`)
	acme.call("POST /tasks/t2/fail", `{"error": "again"}`, 409, `task is queued`)
	acme.call("POST /tasks/t9/fail", `{"error": "again"}`, 404)
	acme.call("POST /tasks/t2/fail", `{"error": "\u0000"}`, 400)
	second, held = claim(acme)
	require.Equal(t, "t2", second)
	acme.call("POST /tasks/t2/complete", `{"held": `+held+`}`, 204)
	acme.call("POST /tasks/t2/complete", `{}`, 409)
	acme.call("POST /tasks/t9/complete", `{}`, 404)
	third, held := claim(acme)
	require.Equal(t, "t3", third)
	acme.call("POST /tasks/t3/retry", `{"held": `+held+`}`, 409, `no attempts are left`)
	acme.call("POST /tasks/t3/fail", `{"error": "no"}`, 200, `{"requeued":false}`)
	claim(acme)
	acme.call("POST /tasks/t4/retry", `{}`, 200, `{"attempts":1}`)
	acme.call("POST /tasks/t9/retry", `{}`, 404)

	acme.call("POST /queue/cancel", "", 200, `{"count":1}`)
	acme.call("GET /queue/stats", "", 200, `"completed":2`, `"failed":1`, `"cancelled":1`)
	acme.call("POST /queue/snapshots", "", 204)
	acme.call("GET /queue/snapshots", "", 200, `"completed":2`, `"cancelled":1`)
	globex.call("GET /queue/snapshots", "", 200, `{"snapshots":[]}`)
	acme.call("GET /tasks?status=completed&limit=1", "", 200, `{"tasks":[{"id":"t2"`, `"next":`)
	acme.call("GET /queue/settings", "", 200, `"max_capacity":1000`)
	acme.call("POST /queue/purge", `{"finished_for_ns": 3600000000000}`, 200, `{"count":0}`)
	acme.call("POST /queue/purge", `{"finished_for_ns": -1}`, 400)
	globex.call("GET /queue/stats", "", 200, `"depth":1`, `"completed":0`)

	many := make([]string, 1001)
	for i := range many {
		many[i] = fmt.Sprintf(`{"id": "m%d", "type": "general"}`, i)
	}
	acme.call("POST /tasks/batch", `{"tasks": [`+strings.Join(many, ",")+`]}`, 429, `"type":"/problems/queue_full"`)
	acme.call("POST /tasks/batch", `{"tasks": [`+strings.Join(many[:1000], ",")+`]}`, 200, `{"count":1000}`)
	acme.call("POST /tasks", `{"id": "m1000", "type": "general"}`, 429)
	acme.call("POST /tasks/batch", `{"tasks": [{"id": "t1", "type": "general"}]}`, 409)
	acme.server.Config.Handler.(*contract).requireAllOf("tasks")
}
