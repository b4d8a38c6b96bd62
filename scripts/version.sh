#!/usr/bin/env bash
# Prints the version that goes into the binary: git's description of the checkout, or "unknown" for an unpacked archive, a
# machine without git, a checkout that git refuses to read, or one without a commit.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# An archive unpacked inside some other repository must not take that one's version.
if [ "$(git -C "$repo" rev-parse --show-toplevel 2>/dev/null)" = "$(realpath "$repo")" ]; then
	git -C "$repo" describe --tags --always --dirty 2>/dev/null && exit 0
fi
echo unknown
