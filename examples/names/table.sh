#!/bin/sh
# table.sh BOARD DEVICE: which heap each program ends up with under each set of heap names, and whether it suits the device.
# Needs heapfs in PATH and ./names beside this script: gcc -O2 -static -o names names.c
set -eu
board=${1:?usage: table.sh BOARD DEVICE}
device=${2:?usage: table.sh BOARD DEVICE}
names=$(dirname "$0")/names

for set in 6.1 6.12 6.17 6.17-no-legacy android rockchip rpi nxp; do
	echo "$set"
	# The status tells what the line says.
	# shellcheck disable=SC2016 # $0 and $1 are the inner shell's.
	heapfs run --board "$board" --heap-names "$set" -- sh -c '
		for program in libcamera kodi rpicam mpp mpp-dma32 mpp-cma; do
			echo "  $("$0" "$program" "$1")"
		done' "$names" "$device"
done
