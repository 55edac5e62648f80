// Package openapitest holds the agency server to its description with requests that are
// made at random, and with a library that reads OpenAPI. The module is apart so that the
// library is in nobody's go.sum.
package openapitest
