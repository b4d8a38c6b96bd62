#!/usr/bin/env bash
# gofmt, golangci-lint (.golangci.yml), shellcheck, and the C clients without a warning. All of them run before it fails.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
cd "$repo"

golangci_version=2.15.0

# golangci_lint prints the path of the linter. Building it takes minutes, so it is kept in the tool cache under its version and
# that of Go: it refuses code for a Go newer than the one that built it. One that the user has, of the same two, will do.
golangci_lint() {
	local go_version dir have found
	go_version=$(go env GOVERSION)
	dir=$(tool_cache)/golangci-lint-$golangci_version-$go_version
	if [ ! -x "$dir/golangci-lint" ]; then
		for found in "$(go env GOPATH)/bin/golangci-lint" "$(command -v golangci-lint || true)"; do
			[ -x "$found" ] || continue
			have=$("$found" version 2>/dev/null || true)
			if [[ $have == *"version $golangci_version built with $go_version "* ]]; then
				printf '%s\n' "$found"
				return 0
			fi
		done
		say "building golangci-lint $golangci_version (minutes, once for each machine)"
		mkdir -p "$dir"
		retry env -u GOOS -u GOARCH GOFLAGS=-buildvcs=false GOBIN="$dir" CGO_ENABLED=0 \
			go install "github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v$golangci_version" >&2 ||
			die "golangci-lint $golangci_version could not be built: see go's lines above"
	fi
	printf '%s\n' "$dir/golangci-lint"
}

status=0
check() {
	say "$1"
	shift
	"$@" || status=1
}

gofmt_clean() {
	local files
	files=$(gofmt -l .)
	[ -z "$files" ] || {
		printf 'not formatted, run gofmt -w on them:\n%s\n' "$files"
		return 1
	}
}

shell_clean() {
	command -v shellcheck >/dev/null || {
		say "shellcheck is not installed: run make deps"
		return 1
	}
	find . -path ./bin -prune -o -name '*.sh' -print0 | xargs -0 shellcheck .ci/run
}

c_clean() {
	local file bits status=0
	while IFS= read -r -d '' file; do
		for bits in $(c_widths); do
			gcc "$bits" -std=gnu11 -O2 -Wall -Wextra -Werror -c -o /dev/null "$file" || status=1
		done
	done < <(find . -path ./bin -prune -o -path '*/testdata' -prune -o -name '*.c' -print0)
	return "$status"
}

# c_widths prints the compiler's -m flags that have a C library here. Only x86 knows the two flags.
c_widths() {
	local bits
	for bits in -m64 -m32; do
		printf '#include <stdio.h>\n' | gcc "$bits" -x c -fsyntax-only - 2>/dev/null && printf '%s\n' "$bits"
	done
	gcc -dumpmachine | grep -q '^x86_64' || printf '%s\n' -O2
}

linter=$(golangci_lint)
check gofmt gofmt_clean
check golangci-lint "$linter" run --timeout 15m --allow-serial-runners ./...
check shellcheck shell_clean
check "C clients" c_clean
exit "$status"
