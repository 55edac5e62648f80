package admission_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/agentagency/onepool/internal/admission"
)

func Example() {
	ctl, err := admission.New(admission.Config{Capacity: 4, TenantMaxFraction: 0.5})
	if err != nil {
		log.Fatal(err)
	}
	reports, web := ctl.Client("reports"), ctl.Client("web")
	if err := web.SetLimits(admission.Limits{Reserve: 1, Weight: 2}); err != nil {
		log.Fatal(err)
	}

	// A tenant may have half of the permits, over all clients.
	for range 3 {
		fmt.Println("reports for acme:", reports.TryAcquire("acme"))
	}
	// The reserve stays out of reach, whoever asks.
	fmt.Println("reports for globex:", reports.TryAcquire("globex"))
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	fmt.Println("reports for globex:", reports.Acquire(ctx, "globex"))
	cancel()
	fmt.Println("web for globex:", web.TryAcquire("globex"))
	ctl.Close()
	// Output:
	// reports for acme: true
	// reports for acme: true
	// reports for acme: false
	// reports for globex: true
	// reports for globex: context deadline exceeded
	// web for globex: true
}
