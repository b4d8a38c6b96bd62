#!/usr/bin/env bash
# make.sh: makes the root file system of the media programs (cam, lc-compliance, gst-launch-1.0 with libcamerasrc) from Debian's packages,
# once, in the cache outside the checkout, and prints its path. It needs root, mmdebstrap, and a Debian mirror: HEAPFS_MIRROR, or this machine's.
# Programs and libraries are Debian's as they are. The one file of ours is virtual.yaml, which tells libcamera of a camera without hardware.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=../../scripts/lib.sh
. "$here/../../scripts/lib.sh"

# Of a release itself, not of its updates.
# shellcheck disable=SC2016 # apt's own variables
mirror=${HEAPFS_MIRROR:-$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' | awk '$2 !~ /-/ { print $1; exit }')}
[ -n "$mirror" ] || die "no Debian mirror: this machine's apt has no sources; name one with HEAPFS_MIRROR"
packages=base-files,base-passwd,libc-bin,dash,coreutils,libcamera-tools,libcamera-ipa
packages+=,gstreamer1.0-libcamera,gstreamer1.0-tools,gstreamer1.0-plugins-base

parts=$(cache_dir)/rootfs
mkdir -p "$parts"
exec 9>"$parts/lock"
flock 9
# Another recipe is another root file system.
root=$parts/media-$(cat "$here/make.sh" "$here/virtual.yaml" | sha256sum | cut -c1-12)
if [ ! -d "$root" ]; then
	keyring=/usr/share/keyrings/debian-archive-keyring.gpg
	[ -e "$keyring" ] || keyring=${keyring%.gpg}.pgp
	sources=$(mktemp "$parts/sources.XXXXXX")
	new=$(mktemp -d "$parts/new.XXXXXX")
	trap 'rm -rf "$sources" "$new"' EXIT
	for suite in trixie trixie-backports; do
		printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$mirror" "$suite"
	done >"$sources"
	mmdebstrap --quiet --variant=extract --mode=root --aptopt='APT::Default-Release "trixie-backports"' --aptopt='Acquire::Retries "3"' \
		--include="$packages" trixie "$new/root" "$sources" >&2
	# What renders and what is read by people is most of it, and none of it is used.
	lib=$new/root/usr/lib/x86_64-linux-gnu
	rm -rf "$lib"/libLLVM* "$lib"/libgallium* "$lib"/libz3* "$lib"/libQt6* "$lib"/qt6 "$lib"/dri "$lib"/gconv "$new"/root/usr/bin/qcam \
		"$new"/root/usr/share/{doc,man,locale,fonts,icons,X11,mime,libwacom,info} "$new"/root/var/lib/{apt,dpkg}
	# The machine's own /dev is bound there.
	rm -rf "$new"/root/dev/*
	find "$new/root" -xtype l -delete # links to what was left out
	install -m 644 "$here/virtual.yaml" "$new/root/usr/share/libcamera/pipeline/virtual/virtual.yaml"
	chmod 755 "$new/root"
	mv "$new/root" "$root"
fi
printf '%s\n' "$root"
