// Consumer is a program outside of the repository: .ci/release-check builds it against a
// release, without a replace line.
package main

import (
	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/fxdb/fxdbotel"
	"github.com/agentagency/onepool/fxdb/fxdbprom"
)

// Module is the application.
var Module = fx.Options(fxdb.Module, devdb.Module, fxdbprom.Module, fxdbotel.Module)

func main() { fx.New(Module).Run() }
