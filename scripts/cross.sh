#!/usr/bin/env bash
# cross.sh ARCH: everything compiles for linux/ARCH: programs, vet, and the test binaries, which are linked and not run.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
cd "$repo"

export GOOS=linux GOARCH=${1:?usage: cross.sh ARCH} CGO_ENABLED=0
go build -buildvcs=false ./...
go vet ./...
log=$(mktemp /tmp/heapfs-cross.XXXXXX)
trap 'rm -f "$log"' EXIT
# "true" in place of the test binary: go test's lines say nothing about tests then, so they are kept for a failure.
go test -vet=off -run '^$' -exec true ./... >"$log" 2>&1 || {
	cat "$log"
	exit 1
}
say "programs and tests compile for linux/$GOARCH"
