#!/usr/bin/env bash
# test-vm.sh [full|smoke|all]: boots Debian's kernels in qemu and compares heapfs (HEAPFS_BIN) with what they do; see integration/vm.
# Ends with a table of kernel, step, verdict and seconds, which stays in bin/reports/vm.txt beside the whole stream, vm.json.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
cd "$repo"

export HEAPFS_VM=${1:-full}
case $HEAPFS_VM in
full | smoke | all) ;;
*) die "unknown run $HEAPFS_VM: full, smoke or all" ;;
esac
if [ "$(uname -m)" != x86_64 ]; then
	say "not run: the virtual machines are amd64, and so must be the clients that are built for them; this machine is $(uname -m)"
	exit 0
fi
export HEAPFS_BIN=${HEAPFS_BIN:-$repo/bin/heapfs}
export HEAPFS_VM_TABLE=$repo/bin/reports/vm.txt

mkdir -p bin/reports
go build -buildvcs=false -o bin/testreport ./scripts/testreport
rm -f "$HEAPFS_VM_TABLE"
status=0
# All tests may wait at once for room on the processors, which is given out by the judge. The time-out is for what has none of its own; each boot has, and the first run downloads the kernels, about 500 MB.
go test -json -count=1 -timeout 40m -parallel 64 ./integration/vm/judge/... ./integration/vm/trees/... | tee bin/reports/vm.json | bin/testreport || status=1
if [ -s "$HEAPFS_VM_TABLE" ]; then
	printf '\n%-6s %-46s %-14s %7s\n' kernel step verdict seconds
	cat "$HEAPFS_VM_TABLE"
fi
exit "$status"
