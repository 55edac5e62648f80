package lifecycle

import (
	"fmt"
	"runtime"
	"strings"
)

// takeCallSite keeps the program counters of the acquire's caller, skip frames up.
//
// The goroutine of "go db.Exec(…)" has frames of this library alone, and runtime.goexit.
// The site of the go statement then names the caller.
func (a *acquisition) takeCallSite(skip int) {
	n := runtime.Callers(skip+1, a.pcs[:])
	if n == len(a.pcs) {
		return
	}
	a.pcs[n] = 0 // what an earlier use of a has left
	if n < 2 {
		return
	}
	if entry := runtime.FuncForPC(a.pcs[n-2] - 1); entry != nil && isOwnFrame(entry.Name()) {
		a.goStatement = goStatement()
	}
}

// goStatement returns the function and the line that started the calling goroutine, or the
// empty string for the main goroutine. Only the text of a stack names the two.
func goStatement() string {
	stack := make([]byte, 16<<10)
	stack = stack[:runtime.Stack(stack, false)]
	_, created, found := strings.Cut(string(stack), "\ncreated by ")
	if !found {
		return ""
	}
	function, rest, _ := strings.Cut(created, " in goroutine ")
	_, line, _ := strings.Cut(rest, "\n\t")
	line, _, _ = strings.Cut(line, " +0x")
	return fmt.Sprintf("%s (%s)", function, line)
}
