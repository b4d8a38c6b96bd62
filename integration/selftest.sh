#!/bin/sh
# Builds the kernel's own test of DMA-BUF heaps, statically, from Debian's kernel source package.
#
#   integration/selftest.sh VERSION OUT      VERSION: 6.1 or 6.12      OUT: the program to write
#
# The package (about 150 MB) and the few files taken from it are kept in
# ${HEAPFS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/heapfs}; whatever lies there under its final name is whole,
# because it was renamed into place.
set -eu

die() {
	echo "selftest.sh: $*" >&2
	exit 1
}

[ $# -eq 2 ] || die "usage: selftest.sh VERSION OUT (VERSION: 6.1 or 6.12)"
version=$1
out=$2
package=linux-source-$version
cache=${HEAPFS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/heapfs}
sources=$cache/selftest/$package
debs=$cache/debs

mkdir -p "$cache/selftest" "$debs"
work=$(mktemp -d "$cache/.selftest-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

fetch() {
	# apt-get download writes into the current directory, under a name that carries the version.
	for tool in apt-get dpkg-deb xz; do
		command -v "$tool" >/dev/null || die "$tool is missing: the selftest's source comes from Debian's $package"
	done
	# apt is asked whether it knows the package first, so that a release without the package gets advice instead of apt's own words.
	if ! apt-cache policy "$package" | grep -q 'Candidate: [^(]'; then
		die "apt knows no package $package: run 'apt-get update', or first add Debian's bookworm and bookworm-security (main) to apt's sources"
	fi
	(cd "$work" && apt-get -q download "$package" >apt.log 2>&1) ||
		die "apt-get download $package failed: $(tail -n 1 "$work/apt.log")"
	mv "$work/$package"_*.deb "$debs/"
}

package_file() {
	for file in "$debs/$package"_*.deb; do
		if [ -f "$file" ]; then
			newest=$file
		fi
	done
	[ -n "${newest:-}" ]
}

if [ ! -d "$sources" ]; then
	if ! package_file; then
		fetch
		package_file || die "no $package package in $debs after the download"
	fi
	mkdir "$work/unpacked"
	# kselftest.h is not needed by every version of the test: tar's complaint about a missing file is no error,
	# the check below is.
	dpkg-deb --fsys-tarfile "$newest" |
		tar -xOf - "./usr/src/$package.tar.xz" |
		tar -xJf - -C "$work/unpacked" --strip-components=1 --wildcards \
			"$package/tools/testing/selftests/dmabuf-heaps/*" \
			"$package/tools/testing/selftests/kselftest.h" \
			"$package/include/uapi/linux/dma-buf.h" \
			"$package/include/uapi/linux/dma-heap.h" \
			"$package/include/uapi/drm/drm.h" \
			"$package/include/uapi/drm/drm_mode.h" 2>"$work/tar.log" || true
	for file in tools/testing/selftests/dmabuf-heaps/dmabuf-heap.c include/uapi/linux/dma-buf.h \
		include/uapi/linux/dma-heap.h include/uapi/drm/drm.h include/uapi/drm/drm_mode.h; do
		[ -s "$work/unpacked/$file" ] || die "$newest holds no $file: $(tail -n 1 "$work/tar.log") (delete the package to fetch it anew)"
	done
	# Another run may have been quicker; its copy is as good.
	mv -T "$work/unpacked" "$sources" 2>/dev/null || [ -d "$sources" ] || die "cannot create $sources"
fi

# uapi headers are written for the kernel's build, which strips the __user annotation when it installs them.
"${CC:-gcc}" -O2 -static -D__user= -idirafter "$sources/include/uapi" \
	-I "$sources/tools/testing/selftests" \
	-o "$work/dmabuf-heap" "$sources/tools/testing/selftests/dmabuf-heaps/dmabuf-heap.c" ||
	die "the selftest of $package does not compile: is linux-libc-dev installed?"
mkdir -p "$(dirname "$out")"
mv "$work/dmabuf-heap" "$out"
