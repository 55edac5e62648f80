package main

import (
	"crypto/ed25519"
	"fmt"
	"net/http"

	"github.com/golang-jwt/jwt/v5"
	"github.com/golang-jwt/jwt/v5/request"

	"github.com/agentagency/onepool/tenant"
)

const (
	issuer   = "https://login.example"
	audience = "notes"
)

// claims holds the issuer's claims about the user of the token.
type claims struct {
	jwt.RegisteredClaims
	Tenant string `json:"tenant"`
}

// fromToken resolves the identity of a request with a bearer token. The issuer must have signed the
// token for the service, and the token must not have expired. Only the token counts in a request.
// Nothing in the token counts before the check of the signature, not even the algorithm: a forger
// would choose the algorithm.
func fromToken(issuerKey ed25519.PublicKey) func(*http.Request) (tenant.Identity, error) {
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}),
		jwt.WithIssuer(issuer), jwt.WithAudience(audience), jwt.WithExpirationRequired(),
	)
	return func(r *http.Request) (tenant.Identity, error) {
		token, err := request.BearerExtractor{}.ExtractToken(r)
		if err != nil {
			return tenant.Identity{}, fmt.Errorf("%w: send a bearer token", tenant.ErrUnauthenticated)
		}
		var c claims
		_, err = parser.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return issuerKey, nil })
		if err != nil {
			return tenant.Identity{}, fmt.Errorf("%w: %w", tenant.ErrUnauthenticated, err)
		}
		if c.Tenant == "" {
			return tenant.Identity{}, fmt.Errorf("%w: the token has no claim \"tenant\"", tenant.ErrNoIdentity)
		}
		return tenant.Identity{Tenant: c.Tenant, User: c.Subject}, nil
	}
}
