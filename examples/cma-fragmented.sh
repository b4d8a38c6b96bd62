#!/bin/sh
# 1,540 of 4,096 pages are free, and 151 are refused: what a fragmented CMA area does to a program that looks at totals.
set -eu
heapfs=${HEAPFS:-heapfs}
here=$(dirname "$0")
"$heapfs" run --board "$here/cma-fragmented.yaml" -- python3 "$here/cma-fragmented.py"
