# make help lists the targets. A machine needs Go, git, make and a C compiler
# (for the race detector); what else the tests need they install themselves,
# where they may.

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT := $(shell git rev-parse HEAD 2>/dev/null)
# Without it gRPC links templates of HTML for a page of traces that nobody serves.
TAGS := grpcnotrace
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)
BINARIES := ./cmd/atom-router ./plugins/docker/atom-plugin-docker ./plugins/process/atom-plugin-process ./plugins/kube/atom-plugin-kube
TESTENV := go run ./internal/testenv/cmd/testenv
TOOLS := $(CURDIR)/bin/tools
PROTO := atomrouter/engine/v1/engine.proto atomrouter/router/v1/router.proto
# Tests may share two cores with a Docker daemon and a Kubernetes; a package may
# take long.
TESTFLAGS ?= -race -timeout 40m

# Of the chaos suite's long form; -chaos.seed=N repeats a run.
CHAOS ?= -chaos.jobs=1000 -chaos.faults=200
FUZZTIME ?= 1m

# Of a release and of the image.
TARGETS ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64
DIST ?= dist
IMAGE ?= atom-router/atom-router:$(VERSION)
IMAGE_ARCH ?= $(shell go env GOARCH)
CA_CERTS ?= /etc/ssl/certs/ca-certificates.crt

.PHONY: help build release image demo test lint chaos fuzz bench generate tools testenv testenv-down clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build the router and its plugins into bin/
	CGO_ENABLED=0 go build -trimpath -tags '$(TAGS)' -ldflags '$(LDFLAGS)' -o bin/ $(BINARIES)

release: ## build archives with checksums and SBOMs for all TARGETS into dist/
	@mkdir -p $(TOOLS)
	@cd internal/tools && go build -o $(TOOLS)/ ./release
	$(TOOLS)/release -version '$(VERSION)' -tags '$(TAGS)' -ldflags '$(LDFLAGS)' -out '$(DIST)' -targets '$(TARGETS)' $(BINARIES)

# The context is the archive unpacked, so that what is in the image is what was
# released.
image: TARGETS = linux/$(IMAGE_ARCH)
image: release ## build the container image from the release for Linux
	@rm -rf '$(DIST)/image' && mkdir -p '$(DIST)/image/empty'
	@tar -xzf '$(DIST)/atom-router_$(VERSION)_linux_$(IMAGE_ARCH).tar.gz' -C '$(DIST)/image' --strip-components=1
	@cp '$(CA_CERTS)' '$(DIST)/image/ca-certificates.crt'
	docker build --quiet --tag '$(IMAGE)' --label org.opencontainers.image.version='$(VERSION)' \
		--label org.opencontainers.image.revision=$(COMMIT) \
		--file '$(DIST)/image/packaging/image/Dockerfile' '$(DIST)/image'

demo: build ## run real jobs through the router with examples/config.hcl
	@./examples/demo.sh

test: lint ## run all checks and tests, with real engines where they can be had
	$(TESTENV) test $(TESTFLAGS) $$(go list ./... | grep -v internal/chaos)
	$(TESTENV) test $(TESTFLAGS) ./internal/chaos # by itself: it takes all that the machine has
	@./internal/tools/fuzz.sh 5000x # inputs, and no time: see there

chaos: ## kill, stop and starve everything while 1,000 jobs run, and account for it (10 minutes)
	$(TESTENV) run go test -race -count=1 -v -timeout 85m ./internal/chaos $(CHAOS)

fuzz: ## look for new inputs that break parsers and servers, FUZZTIME each
	@./internal/tools/fuzz.sh $(FUZZTIME) guided

lint: tools ## gofmt, vet, staticcheck, drift of go.mod and generated code
	@./internal/tools/lint.sh $(TOOLS) $(PROTO)

bench: build tools ## measure against baselines, with Docker and Kubernetes where they can be had, and make docs/performance.md
	go run ./internal/bench -engines without
	$(TESTENV) run go run ./internal/bench -engines with
	@cd internal/tools && go build -o $(TOOLS)/ ./plot
	$(TOOLS)/plot -out docs/performance docs/performance/growth.txt
	$(TOOLS)/benchstat -col goos -ignore .file,name,detail,aim,aim-is,date,commit docs/performance/*.txt

generate: tools ## generate the protocol's Go code
	$(TOOLS)/protogen -bin $(TOOLS) -root plugin/proto $(PROTO)

tools:
	@mkdir -p $(TOOLS)
	@cd internal/tools && GOBIN=$(TOOLS) go install tool && go build -o $(TOOLS)/ ./protogen

testenv: ## start the real engines and leave them running; source .testenv/env
	@$(TESTENV) up

testenv-down: ## stop them and leave nothing
	@$(TESTENV) down

clean: ## remove what was built
	rm -rf bin dist
