package fxdb

import "context"

type customPlansKey struct{}

// CustomPlans returns a context whose statements the server plans anew at each execution, for
// the values of the parameters (plan_cache_mode = force_custom_plan). Without CustomPlans the
// server may keep one plan for all values from the sixth execution on a connection on. Such a
// plan fits the average tenant: under a policy the server knows the tenant only at execution.
//
// The setting travels in the scope of Exec, Query, QueryRow and SendBatch, in the same round
// trip, and ends with the statement's transaction. Give the context to InTx or Begin, and all
// statements of the transaction have custom plans; the context of a single statement of a
// transaction has no effect. A text that can't run in a transaction, such as VACUUM, ignores
// CustomPlans, and so do Acquire, CopyFrom and the simple protocol.
//
// Planning takes the server 0.1 to 1 ms for each execution: mark only statements whose best
// plan depends on the values.
func CustomPlans(ctx context.Context) context.Context {
	return context.WithValue(ctx, customPlansKey{}, true)
}

func wantsCustomPlans(ctx context.Context) bool {
	marked, _ := ctx.Value(customPlansKey{}).(bool)
	return marked
}
