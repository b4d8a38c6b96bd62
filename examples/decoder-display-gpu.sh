#!/bin/sh
# One buffer for decoder, display and GPU: which heap serves all three, on each built-in board that has them.
set -eu
heapfs=${HEAPFS:-heapfs}

set_on() {
	board=$1
	shift
	printf '%s: %s\n' "$board" "$*"
	"$heapfs" negotiate --board "$board" "$@" | grep -E '^choice|pitchAlignment|contiguous +yes' | sed 's/^ */  /'
}

set_on imx8mq-evk 38300000.video-codec 30320000.lcd-controller 38000000.gpu
set_on rk3399-rockpro64 ff660000.video-codec ff900000.vop ff9a0000.gpu
set_on rk3588-rock-5b fdb50000.video-codec fdd90000.vop fb000000.gpu
set_on bcm2711-rpi-4-b feb00000.codec fe400000.hvs fec00000.gpu
set_on bcm2712-rpi-5-b 1000800000.codec 107c580000.hvs 1002000000.v3d
set_on sdm845-oneplus-enchilada aa00000.video-codec ae00000.display-subsystem 5000000.gpu
set_on pc-two-gpus 0000:05:00.0 0000:00:02.0 0000:03:00.0
