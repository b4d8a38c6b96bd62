# shellcheck shell=bash
# Shared by the scripts beside it; sourced, never run.

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

die() {
	say "$*"
	exit 1
}

# cache_dir is where things live that a machine should fetch or build only once. It is outside the checkout, so that a fresh
# clone finds them, and every entry's name carries its version.
cache_dir() {
	printf '%s\n' "${HEAPFS_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/heapfs}"
}

tool_cache() {
	printf '%s\n' "$(cache_dir)/tools"
}

# retry runs a command up to three times with a pause between: for the network only.
retry() {
	local try
	for try in 1 2 3; do
		"$@" && return 0
		[ "$try" -eq 3 ] || {
			say "try $try of 3 failed: $*"
			sleep $((try * 5))
		}
	done
	return 1
}

# version_at_least A B: is version A at least B?
version_at_least() {
	[ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

# wanted_go is the version on go.mod's go line.
wanted_go() {
	awk '$1 == "go" { print $2; exit }' "$repo/go.mod"
}

# go_version DIR prints the version of DIR/go itself (GOTOOLCHAIN=local: not the one it would switch to), or nothing.
go_version() {
	(cd / && GOTOOLCHAIN=local "$1/go" version 2>/dev/null) | awk '{ sub(/^go/, "", $3); print $3 }' || true
}
