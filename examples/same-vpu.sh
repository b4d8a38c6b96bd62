#!/bin/sh
# The same video decoder (a Hantro G1) on two SoCs: without an IOMMU it needs contiguous memory, behind one any will do.
set -eu
heapfs=${HEAPFS:-heapfs}
"$heapfs" negotiate --board imx8mq-evk 38300000.video-codec
echo
"$heapfs" negotiate --board rk3399-rockpro64 ff650000.video-codec
