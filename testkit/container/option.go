package container

import "os"

// DefaultImage is the image of a container if neither [Image] nor the environment's
// ONEPOOL_TEST_IMAGE names an image.
const DefaultImage = "postgres:18-alpine"

const envImage = "ONEPOOL_TEST_IMAGE"

// Option changes the container of [Start].
type Option func(*config)

type config struct{ image string }

// Image names the image: the official postgres image of any version from 15 on, or an image built
// on the official image, for example the images of pgvector, PostGIS and TimescaleDB.
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
