# heapfs: `make help` lists what is here. Longer recipes are in scripts/, one script each.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
.NOTPARALLEL:

# The go command: the one in PATH, or wherever `make deps` or Debian put one that is new enough.
GO_DIR := $(shell scripts/find-go.sh)
ifneq ($(GO_DIR),)
export PATH := $(GO_DIR):$(PATH)
endif

# A go command older than go.mod asks for may fetch that version. Some installations default to `local`, which forbids it.
ifeq ($(filter-out local,$(GOTOOLCHAIN)),)
export GOTOOLCHAIN := auto
endif

# The product has no cgo. Builds do not ask git for a stamp: that fails in a checkout that belongs to another user.
export CGO_ENABLED := 0
GOBUILD := go build -trimpath -buildvcs=false
VERSION ?= $(shell scripts/version.sh)
LDFLAGS := -X main.version=$(VERSION)

FUZZTIME ?= 10s
VM ?= full

##@ Use

.PHONY: build
build: ## build bin/heapfs (the default)
	$(GOBUILD) -ldflags '$(LDFLAGS)' -o bin/heapfs ./cmd/heapfs

# demo and test bring their own set-up: a fresh checkout needs no other command before. Go may come with deps, so the build is a
# make of its own, which finds it.
.PHONY: demo
demo: deps ## run the demo, as an ordinary user also when make runs as root
	@$(MAKE) --no-print-directory build
	@scripts/as-user.sh bin/heapfs demo

.PHONY: deps
deps: ## install what building and testing need and this machine lacks
	@scripts/deps.sh

##@ Check

.PHONY: test
test: deps ## go vet, unit tests, integration tests; without root the parts that need none
	@$(MAKE) --no-print-directory build
	@scripts/test.sh host

.PHONY: test-race
test-race: ## all tests with the race detector, on a bin/race/heapfs that has it too
	CGO_ENABLED=1 $(GOBUILD) -race -ldflags '$(LDFLAGS)' -o bin/race/heapfs ./cmd/heapfs
	@scripts/test.sh race

.PHONY: test-serial
test-serial: build ## all tests with GOMAXPROCS=1, which shows a server that waits for itself
	@scripts/test.sh serial

.PHONY: test-vm
test-vm: ## heapfs beside the heaps of real kernels, in virtual machines; VM=smoke for the short run, VM=all for all mutants, and every step on every kernel
	@scripts/deps.sh vm
	@$(MAKE) --no-print-directory build
	@scripts/test-vm.sh '$(VM)'

.PHONY: fuzz
fuzz: ## each fuzz target for FUZZTIME (10s)
	@FUZZTIME='$(FUZZTIME)' scripts/fuzz.sh

.PHONY: lint
lint: ## golangci-lint with the import arrows, gofmt, shellcheck, C clients without warnings
	@scripts/lint.sh

.PHONY: tidy-check
tidy-check: ## go.mod and go.sum are what go mod tidy makes
	go mod tidy -diff

.PHONY: cross
cross: ## everything, tests included, compiles for arm64
	@scripts/cross.sh arm64

.PHONY: bench
bench: build ## the figures, each beside its floor from the same run
	HEAPFS_BIN='$(CURDIR)/bin/heapfs' go run ./integration/bench

.PHONY: test-all
test-all: ## everything that CI checks, in one go
	@scripts/test-all.sh

##@ Rest

.PHONY: clean
clean: ## remove what was built here (tool caches outside the checkout stay)
	rm -rf bin

.PHONY: help
help: ## this list
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
