package size_test

import (
	"testing"

	"github.com/agentagency/onepool/internal/testing/size"
)

func TestTheEnvironmentChoosesTheSoakSize(t *testing.T) {
	t.Setenv(size.SoakVariable, "1")
	if got := size.Of("short", "usual", "soak"); got != "soak" {
		t.Fatalf("Of returned %q", got)
	}
	t.Setenv(size.SoakVariable, "")
	want := "usual"
	if testing.Short() {
		want = "short"
	}
	if got := size.Of("short", "usual", "soak"); got != want {
		t.Fatalf("Of returned %q, not %q", got, want)
	}
}
