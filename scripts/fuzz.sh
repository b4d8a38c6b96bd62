#!/usr/bin/env bash
# Runs every fuzz target of the module for FUZZTIME (10s), one after the other. An input that fails is printed whole, because
# on a CI machine the file that go writes is lost.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
cd "$repo"

log=$(mktemp /tmp/heapfs-fuzz.XXXXXX)
trap 'rm -f "$log"' EXIT

# targets prints lines of "package Fuzz…", read from the sources, for listing them with go test would link every test binary.
targets() {
	local package file
	go list -f '{{range .TestGoFiles}}{{$.ImportPath}} {{$.Dir}}/{{.}}{{"\n"}}{{end}}{{range .XTestGoFiles}}{{$.ImportPath}} {{$.Dir}}/{{.}}{{"\n"}}{{end}}' ./... |
		while read -r package file; do
			[ -n "$file" ] || continue
			sed -n "s|^func \(Fuzz[A-Za-z0-9_]*\)(.*|$package \1|p" "$file"
		done
}

# fuzz PACKAGE TARGET. At the end of its time go's fuzzer now and then reports its own deadline as the target's failure
# ("context deadline exceeded", and no failing input): such a run is tried again.
fuzz() {
	local try input
	for try in 1 2 3; do
		# shellcheck disable=SC2086 # FUZZFLAGS are several words
		if go test -run '^$' -fuzz "^$2\$" -fuzztime "${FUZZTIME:-10s}" ${FUZZFLAGS:-} "$1" >"$log" 2>&1 </dev/null; then
			tail -n 1 "$log"
			return 0
		fi
		if grep -q 'Failing input written' "$log" || ! grep -q 'context deadline exceeded' "$log"; then
			break
		fi
		say "$2: go's fuzzer tripped over its own deadline (try $try of 3)"
	done
	cat "$log"
	input=$(sed -n 's/^ *Failing input written to //p' "$log" | head -n 1)
	if [ -n "$input" ]; then
		say "the failing input, $input:"
		cat "$(go list -f '{{.Dir}}' "$1")/$input"
	fi
	return 1
}

found=0 status=0
while read -r package target; do
	found=$((found + 1))
	say "$target in $package"
	fuzz "$package" "$target" || status=1
done < <(targets)
[ "$found" -gt 0 ] || say "no fuzz targets"
exit "$status"
