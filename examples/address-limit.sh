#!/bin/sh
# 8 GiB of memory and a device with 32 address lines: the heap that most programs take first lies in part where it can't look.
set -eu
heapfs=${HEAPFS:-heapfs}
board=$(dirname "$0")/address-limit.yaml
echo "scaler alone:"
"$heapfs" negotiate --board "$board" 10000000.scaler
echo
echo "scaler and GPU:"
"$heapfs" negotiate --board "$board" 10000000.scaler 11000000.gpu | head -n 1
echo
echo "camera, whose own area lies above 4 GiB:"
"$heapfs" negotiate --board "$board" 12000000.camera || echo "exit status $?"
