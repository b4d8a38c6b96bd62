#!/usr/bin/env bash
# Everything that CI checks, step by step through the Makefile. A step that fails does not keep the later ones from running:
# one run shows all that is wrong. Only without dependencies is there no point in going on.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
cd "$repo"

export FUZZTIME=${FUZZTIME:-5s}
before=$(mktemp /tmp/heapfs-leftovers.XXXXXX)
trap 'rm -f "$before"' EXIT

failed=() times=()
# step NAME CMD…
step() {
	local name=$1 start=$SECONDS
	shift
	printf '\n== %s\n' "$name"
	if "$@"; then
		times+=("$(printf '%5d s  %s' $((SECONDS - start)) "$name")")
	else
		times+=("$(printf '%5d s  %s FAILED' $((SECONDS - start)) "$name")")
		failed+=("$name")
	fi
}

run_make() { "${MAKE:-make}" --no-print-directory "$@"; }

scripts/leftovers.sh list >"$before"
step deps run_make deps
if [ "${#failed[@]}" -eq 0 ]; then
	for name in lint tidy-check cross test test-race test-serial test-vm fuzz; do
		step "$name" run_make "$name"
	done
	step leftovers scripts/leftovers.sh check "$before"
fi

printf '\n'
printf '%s\n' "${times[@]}"
if [ "${#failed[@]}" -gt 0 ]; then
	printf 'failed: %s\n' "${failed[*]}"
	exit 1
fi
