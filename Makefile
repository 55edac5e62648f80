# Each target is a step of .ci/run, or a script of .ci/ that a maintainer runs alone.
.DEFAULT_GOAL := help
PACKAGES ?= ./...

.PHONY: help test short race soak stress bench lint lint-nested vuln container release docs mutation ci
help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{ printf "  make %-9s %s\n", $$1, $$2 }'

test: ## all tests of the root module at their usual size
	.ci/test -count=1 $(PACKAGES)

short: ## the fast half: one test at least for each promise
	.ci/test -short -count=1 $(PACKAGES)

race: ## all tests at their usual size, with the race detector
	.ci/test -race -count=1 $(PACKAGES)

soak: ## all tests in full, with the race detector: exhaustive searches, loads, fault tables
	ONEPOOL_SOAK=1 .ci/test -race -count=1 -timeout=30m $(PACKAGES)

stress: ## the tests that touch time, on a machine that is kept busy
	.ci/stress

bench: ## the benchmarks of the hot paths, in ratios to bare pgxpool
	go test -run=NONE -bench=. -benchmem ./fxdb ./internal/admission

lint: ## tidy modules, vet, gofmt, golangci-lint, dependency weight
	.ci/lint

lint-nested: ## golangci-lint of the nested modules
	@bash -ec '. .ci/modules; for m in "$${nested[@]}"; do echo "golangci-lint $$m"; (cd "$$m" && "$$(go env GOPATH)/bin/golangci-lint" run ./...); done'

vuln: ## known vulnerabilities in the dependencies
	.ci/vuln

container: ## testkit/container, and testkit on a container: starts a Docker engine if none answers
	.ci/container

release: ## a release in a clone, and a consumer of its modules, without replace lines
	.ci/release-check

docs: ## write the generated page of the documentation, and serve the packages
	go generate ./docs
	go doc -http ./fxdb

mutation: ## mutation score of the database clients: about half an hour
	.ci/mutation

ci: ## what CI runs
	.ci/run
