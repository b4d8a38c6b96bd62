#!/usr/bin/env bash
# record.sh > lc-compliance.txt: which tests of libcamera's lc-compliance pass on a kernel's own system heap. A virtual machine runs them,
# with the root file system of make.sh; what it needs is what `make test-vm` needs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=../../scripts/lib.sh
. "$here/../../scripts/lib.sh"
cd "$here/../.."
root=$("$here/make.sh")
out=$(mktemp -d /tmp/heapfs-record.XXXXXX)
trap 'rm -rf "$out"' EXIT
timeout=8m
cat >"$out/compliance" <<'SH'
#!/bin/sh
mkdir /tmp/media && mount -t tmpfs media /tmp/media && tar -x -f /media.tar -C /tmp/media && rm /media.tar || exit 1
for d in dev proc sys; do mount --rbind /$d /tmp/media/$d || exit 1; done
rm -f /dev/udmabuf # libcamera's other source of dma-bufs
chroot /tmp/media /usr/bin/lc-compliance --camera Virtual0 >/tmp/said 2>&1 || { tail -n 20 /tmp/said >&2; exit 1; }
sed -n 's/^\[       OK \] \([^ ]*\).*/\1/p' /tmp/said | sort
SH
chmod +x "$out/compliance"
tar -c -f "$out/media.tar" -C "$root" . # links to folders would not come along by themselves
go run ./integration/vm/cmd/vmrun -kernel 6.12 -memory 3072 -timeout "$timeout" -file "$out/media.tar:/media.tar" -file "$out/compliance:/bin/compliance" -- compliance >"$out/passed" || die "the virtual machine said: $(tail -n 20 "$out/passed")"
[ -s "$out/passed" ]
cat <<TXT
# Tests of lc-compliance that pass on the system heap of Linux 6.12. Made by: integration/rootfs/record.sh > integration/rootfs/lc-compliance.txt
TXT
cat "$out/passed"
