package rls

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// No server as old as that is at hand: its catalog is made up.
func TestAViewOfAnOldServerCannotAskAsItsReader(t *testing.T) {
	t.Parallel()
	for version, want := range map[int]struct{ says, fix string }{
		140011: {"PostgreSQL has security_invoker since version 15", `revoke all on "shop"."v" from "app"`},
		150000: {"", `alter view "shop"."v" set (security_invoker = true);`},
	} {
		for _, bypasses := range []bool{true, false} {
			orders := &table{OID: 1, Schema: "shop", Name: "orders", Secured: true, Forced: true, scoped: true}
			v := &verifier{catalog: &catalog{session: session{Role: "app", Version: version}, byOID: map[uint32]*table{1: orders}}}
			v.checkView(&view{OID: 2, Schema: "shop", Name: "v", Kind: "v", Owner: "boss", OwnerBypasses: bypasses, Refs: []uint32{1}})
			require.Len(t, v.findings, 1)
			require.Equal(t, "view-not-invoker", v.findings[0].Code)
			require.Contains(t, v.findings[0].Fix, want.fix)
			require.Contains(t, v.findings[0].Consequence, want.says)
		}
	}
}
