package lifecycle

import (
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// layers are the prefixes of the functions between a program and an acquire: a call site is
// outside the layers.
type layers []string

// bottom is the last function of each stack.
const bottom = "runtime.goexit"

// layersOf returns the layers of the packages, of this package, and of pgx with its subpackages.
func layersOf(packages []string) layers {
	pgxPath := reflect.TypeFor[pgx.Conn]().PkgPath()
	all := layers{reflect.TypeFor[Monitor]().PkgPath() + ".", pgxPath + ".", pgxPath + "/", bottom}
	for _, path := range packages {
		all = append(all, path+".")
	}
	return all
}

func (l layers) has(function string) bool {
	return slices.ContainsFunc(l, func(prefix string) bool { return strings.HasPrefix(function, prefix) })
}

// hold reports whether every frame belongs to a layer. The program's frames are the last.
func (l layers) hold(pcs []uintptr) bool {
	for _, pc := range slices.Backward(pcs) {
		if f := runtime.FuncForPC(pc - 1); f == nil || !l.has(f.Name()) {
			return false
		}
	}
	return true
}

// takeCallSite keeps the program counters of the acquire's caller, skip frames up. If the
// frames that fit are all of the layers, as below database/sql, takeCallSite keeps the frames
// after these.
//
// The goroutine of "go db.Exec(…)" has frames of the layers alone. The site of the go statement
// then names the caller.
func (a *acquisition) takeCallSite(skip int) {
	skip++ // takeCallSite itself
	n := runtime.Callers(skip, a.pcs[:])
	for n == len(a.pcs) {
		if !a.m.layers.hold(a.pcs[n-1:]) || !a.m.layers.hold(a.pcs[:]) {
			return
		}
		skip += n
		n = runtime.Callers(skip, a.pcs[:])
	}
	a.pcs[n] = 0 // what an earlier use of a has left
	if a.m.layers.hold(a.pcs[:n]) {
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

// callSite names the first frame outside the layers. An acquire takes program counters; only
// callSite resolves the counters.
func (l layers) callSite(pcs []uintptr) string {
	if n := slices.Index(pcs, 0); n >= 0 {
		pcs = pcs[:n]
	}
	if len(pcs) == 0 {
		return ""
	}
	frames := runtime.CallersFrames(pcs)
	for {
		f, more := frames.Next()
		if !l.has(f.Function) || !more {
			return fmt.Sprintf("%s (%s:%d)", f.Function, f.File, f.Line)
		}
	}
}
