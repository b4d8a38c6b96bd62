#!/bin/sh
# A decoder that requires memory without a CPU mapping, a display that accepts it, and a GPU that refuses.
set -eu
heapfs=${HEAPFS:-heapfs}
board=$(dirname "$0")/protected-playback.yaml
echo "decoder and display:"
"$heapfs" negotiate --board "$board" 1000000.decoder 2000000.display
echo
echo "with the GPU, for a subtitle:"
"$heapfs" negotiate --board "$board" 1000000.decoder 2000000.display 3000000.gpu || echo "exit status $?"
