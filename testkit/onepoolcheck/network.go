package onepoolcheck

import (
	"go/ast"
	"go/types"
	"strings"
)

// networkCalls are functions that wait for another machine.
var networkCalls = set(`net/http.Get net/http.Head net/http.Post net/http.PostForm
	net/http.Client.Do net/http.Client.Get net/http.Client.Head net/http.Client.Post net/http.Client.PostForm
	net/http.Transport.RoundTrip net/http.RoundTripper.RoundTrip
	net.Dial net.DialTimeout net.DialTCP net.DialUDP net.Dialer.Dial net.Dialer.DialContext
	net.LookupHost net.LookupIP net.LookupAddr net.LookupCNAME net.LookupMX net.LookupTXT
	net.Resolver.LookupHost net.Resolver.LookupIP net.Resolver.LookupIPAddr net.Resolver.LookupTXT
	crypto/tls.Dial crypto/tls.DialWithDialer crypto/tls.Dialer.DialContext
	net/smtp.SendMail net/smtp.Dial net/rpc.Dial net/rpc.DialHTTP net/rpc.Client.Call
	google.golang.org/grpc.ClientConn.Invoke google.golang.org/grpc.ClientConn.NewStream`)

// locks are functions that wait for another goroutine.
var locks = set(`sync.Mutex.Lock sync.RWMutex.Lock sync.RWMutex.RLock sync.Locker.Lock
	golang.org/x/sync/semaphore.Weighted.Acquire`)

// clouds are import paths of clients whose methods are requests.
var clouds = []string{"github.com/aws/aws-sdk-go-v2/service/", "cloud.google.com/go/", "github.com/stripe/stripe-go", "github.com/redis/go-redis"}

// isNetworkCall reports whether the function itself sends something over the network.
func isNetworkCall(fn *types.Func) bool {
	if networkCalls[funcName(fn)] {
		return true
	}
	sig := signature(fn)
	params := sig.Params()
	if sig.Recv() == nil || params.Len() == 0 || !isContext(params.At(0).Type()) {
		return false
	}
	if sig.Variadic() { // a generated client of gRPC
		last := params.At(params.Len() - 1).Type().(*types.Slice)
		if typeName(last.Elem()) == "google.golang.org/grpc.CallOption" {
			return true
		}
	}
	for _, cloud := range clouds {
		if strings.HasPrefix(packagePath(fn.Pkg())+"/", cloud) && returnsError(sig) {
			return true
		}
	}
	return false
}

func returnsError(sig *types.Signature) bool {
	n := sig.Results().Len()
	return n > 0 && types.Identical(sig.Results().At(n-1).Type(), types.Universe.Lookup("error").Type())
}

// network names a call over the network: the call itself, or a call inside the called function
// if the same program declares the function.
func (f *functions) network(call *ast.CallExpr) string {
	fn := callee(f.pass.TypesInfo, call)
	if fn == nil {
		return ""
	}
	if isNetworkCall(fn) {
		return shortName(fn)
	}
	if s := f.summaries[fn]; s != nil && f.sameProgram(fn.Pkg()) {
		return s.Network
	}
	return ""
}

// sameProgram reports whether a package is of the checked module.
func (f *functions) sameProgram(pkg *types.Package) bool {
	if pkg == nil {
		return false
	}
	if m := f.pass.Module; m != nil && m.Path != "" {
		return pkg.Path() == m.Path || strings.HasPrefix(pkg.Path(), m.Path+"/")
	}
	first, _, _ := strings.Cut(f.pass.Pkg.Path(), "/")
	return pkg == f.pass.Pkg || strings.HasPrefix(pkg.Path(), first+"/")
}
