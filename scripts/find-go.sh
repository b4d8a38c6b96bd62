#!/usr/bin/env bash
# Prints the folder of the go command that the Makefile puts first in PATH; nothing when there is none.
# First choice: one that is new enough for go.mod. Second: one that can fetch a newer toolchain itself (Go 1.21 and later).
# Debian's golang-1.NN-go packages put nothing into PATH, a tarball in /usr/local is often missing from root's PATH, and
# deps.sh may have put a toolchain into the tool cache: hence the search.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

want=$(wanted_go)
candidates=()
if on_path=$(command -v go); then
	candidates+=("$(dirname "$on_path")")
fi
candidates+=(/usr/local/go/bin)
while IFS= read -r dir; do
	candidates+=("$dir")
done < <(printf '%s\n' "$(tool_cache)"/go-*/bin /usr/lib/go-*/bin | sort -rV)

fallback=
for dir in "${candidates[@]}"; do
	[ -x "$dir/go" ] || continue
	have=$(go_version "$dir")
	[ -n "$have" ] || continue
	if version_at_least "$have" "$want"; then
		printf '%s\n' "$dir"
		exit 0
	fi
	if [ -z "$fallback" ] && version_at_least "$have" 1.21; then
		fallback=$dir
	fi
done
[ -z "$fallback" ] || printf '%s\n' "$fallback"
