#!/usr/bin/env bash
# test.sh host|race|serial: runs the unit tests, then the integration tests on the built binary (HEAPFS_BIN), and reports both
# through scripts/testreport.
#   host    go vet first
#   race    test binaries and heapfs with the race detector; reports of heapfs itself count too
#   serial  GOMAXPROCS=1 for the test binaries and all that they start
# The whole streams stay in bin/reports/MODE-*.json.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
cd "$repo"

mode=${1:?usage: test.sh host|race|serial}
export HEAPFS_BIN=$repo/bin/heapfs
flags=()
unit_timeout=5m integration_timeout=10m
case $mode in
host)
	go vet ./...
	;;
race)
	export CGO_ENABLED=1 HEAPFS_BIN=$repo/bin/race/heapfs
	flags=(-race)
	unit_timeout=10m integration_timeout=20m
	# A race in a heapfs that some test started would go to a stderr that nobody reads: reports are gathered in files. Every user
	# may write there, for heapfs runs as several. Without atexit_sleep_ms each program would sleep a second at its end.
	races=$(mktemp -d /tmp/heapfs-races.XXXXXX)
	trap 'rm -rf "$races"' EXIT
	chmod 1777 "$races"
	export GORACE="log_path=$races/race atexit_sleep_ms=0"
	;;
serial)
	# By way of env, so that the go command itself keeps all cores for compiling.
	flags=(-exec 'env GOMAXPROCS=1')
	unit_timeout=10m integration_timeout=15m
	;;
*) die "unknown mode $mode: host, race or serial" ;;
esac

mkdir -p bin/reports
go build -buildvcs=false -o bin/testreport ./scripts/testreport

# suite NAME FLAG… PACKAGE… runs one go test; -count=1, because a result that depends on the kernel must not come from a cache.
suite() {
	local name=$1
	shift
	say "$mode: $name"
	go test -json -count=1 "${flags[@]}" "$@" | tee "bin/reports/$mode-$name.json" | bin/testreport
}

mapfile -t packages < <(go list ./...)
[ "${#packages[@]}" -gt 0 ] || die "go list found no packages: see its lines above"
unit=() integration=()
for package in "${packages[@]}"; do
	case $package in
	*/integration | */integration/*) integration+=("$package") ;;
	*) unit+=("$package") ;;
	esac
done

status=0
suite unit -timeout "$unit_timeout" "${unit[@]}" || status=1
if [ "${#integration[@]}" -gt 0 ]; then
	# One package at a time: they look at state that the whole machine shares (mounts, processes, sockets).
	suite integration -p 1 -timeout "$integration_timeout" "${integration[@]}" || status=1
fi

if [ "$mode" = race ] && [ -n "$(ls -A "$races")" ]; then
	say "data races, by program:"
	cat "$races"/*
	status=1
fi
exit "$status"
