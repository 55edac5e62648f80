package mail

import (
	"context"
	"net/http"

	"github.com/agentagency/onepool/fxdb"
)

type Sender struct {
	db     *fxdb.DB
	client *http.Client
}

func (s *Sender) Send(ctx context.Context, to string) error {
	req, err := http.NewRequestWithContext(ctx, "POST", to, nil)
	if err != nil {
		return err
	}
	res, err := s.client.Do(req)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

func (s *Sender) Address(to string) string { return to + "@example.org" }
