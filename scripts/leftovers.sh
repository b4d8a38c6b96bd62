#!/usr/bin/env bash
# leftovers.sh list      prints what a heapfs that ended badly leaves on a machine: FUSE mounts, processes named heapfs, sockets
# leftovers.sh check OLD fails when there is any that the list in the file OLD does not have
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

list() {
	local dir socket
	awk '{ for (i = 7; i < NF; i++) if ($i == "-") { if ($(i + 1) ~ /^fuse(\.|$)/) print "mount " $5 " (" $(i + 1) ")"; break } }' /proc/self/mountinfo
	# A process may end while it is looked at. A zombie, which has no executable, is its parent's affair.
	for dir in $(grep -sxl heapfs /proc/[0-9]*/comm || true); do
		dir=${dir%/comm}
		if readlink "$dir/exe" >/dev/null 2>&1; then
			printf 'process %s (%s)\n' "${dir#/proc/}" "$(tr '\0' ' ' 2>/dev/null <"$dir/cmdline" | cut -c -200)"
		fi
	done
	for socket in /run/heapfs/*; do
		[ ! -S "$socket" ] || printf 'socket %s\n' "$socket"
	done
}

case ${1:-} in
list) list | sort ;;
check)
	old=${2:?usage: leftovers.sh list | check OLD}
	# A server outlives its program by a moment, by design: it ends when the last caller is gone.
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		left=$(list | sort | comm -13 "$old" -)
		[ -n "$left" ] || exit 0
		sleep 1
	done
	printf 'left behind:\n%s\n' "$left"
	exit 1
	;;
*) die "usage: leftovers.sh list | check OLD" ;;
esac
