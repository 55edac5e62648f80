package container

import "os"

// DefaultImage is the image of a container if neither [Image] nor the environment's
// ONEPOOL_TEST_IMAGE names one.
const DefaultImage = "postgres:18-alpine"

const envImage = "ONEPOOL_TEST_IMAGE"

// Option changes what [Start] starts.
type Option func(*config)

type config struct{ image string }

// Image names the image: the official postgres image of any version from 15 on, or one that
// is built on it, as those of pgvector, PostGIS and TimescaleDB are.
func Image(name string) Option { return func(c *config) { c.image = name } }

func newConfig(opts []Option) config {
	c := config{image: DefaultImage}
	if image := os.Getenv(envImage); image != "" {
		c.image = image
	}
	for _, opt := range opts {
		opt(&c)
	}
	return c
}
