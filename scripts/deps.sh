#!/usr/bin/env bash
# Installs what building and testing heapfs needs and a fresh Debian lacks: packages, a Go that is new enough, the modules.
# Does nothing, quickly, when all is there. Package lists are refreshed only when an install needs it.
# deps.sh vm: what `make test-vm` needs as well. The kernels are fetched by the test, into its own cache.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

packages=(
	git make ca-certificates
	gcc libc6-dev       # C clients, and cgo for the race detector
	musl-tools          # the musl client
	python3             # the Python client
	libudev-dev udev    # who lists heaps by libudev and udevadm
	dpkg-dev xz-utils   # kernel sources, unpacked for their selftest
	mount util-linux    # unshare and setpriv, for make demo as root
	gdb strace          # tracers, for the callers that have one already
	runc lxc            # containers, for programs in them
	mmdebstrap debian-archive-keyring # the root file system of the media programs
	shellcheck          # make lint
)
vm_tools=()
if command -v dpkg >/dev/null && [ "$(dpkg --print-architecture)" = amd64 ]; then
	packages+=(gcc-multilib) # the 32-bit client
fi
if [ "${1:-}" = vm ] && [ "$(uname -m)" = x86_64 ]; then
	packages+=(
		qemu-system-x86 busybox-static # the virtual machines, and what is in them
		debian-archive-keyring zstd    # their kernels, and the modules
		v4l-utils                      # v4l2-ctl, which imports buffers into a real driver
		device-tree-compiler           # judge of imported device trees
	)
	vm_tools=(qemu-system-x86_64 busybox dpkg-deb xz v4l2-ctl dtc)
fi

# as_root runs a command as root; false when there is no way to.
as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		return 1
	fi
}

can_be_root() {
	[ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null
}

apt() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@"
}

# apt_install tries with the lists as they are. Missing or stale lists make that fail, and then they are refreshed. What
# counts is whether the install works: a third-party source that does not answer makes `apt-get update` fail without harm.
apt_install() {
	local try
	apt install -y --no-install-recommends "$@" </dev/null && return 0
	for try in 1 2 3; do
		say "refreshing the package lists (try $try of 3)"
		apt update </dev/null || say "apt-get update complained; installing with what it brought"
		apt install -y --no-install-recommends "$@" </dev/null && return 0
		[ "$try" -eq 3 ] || sleep $((try * 5))
	done
	return 1
}

missing_packages() {
	local name
	for name in "${packages[@]}"; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || printf '%s\n' "$name"
	done
}

install_packages() {
	local missing
	if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
		local tools=(git make gcc musl-gcc python3 udevadm dpkg-deb xz unshare setpriv gdb strace shellcheck "${vm_tools[@]}") lacking=() tool
		for tool in "${tools[@]}"; do
			command -v "$tool" >/dev/null || lacking+=("$tool")
		done
		[ "${#lacking[@]}" -eq 0 ] || die "not a Debian system, and these commands are missing: ${lacking[*]}: install them by hand"
		return 0
	fi
	mapfile -t missing < <(missing_packages)
	[ "${#missing[@]}" -gt 0 ] || return 0
	can_be_root || die "packages missing: ${missing[*]}: become root (there is no sudo here) and run: apt-get install ${missing[*]}"
	say "installing: ${missing[*]}"
	apt_install "${missing[@]}" || die "could not install: ${missing[*]}: see apt-get's lines above"
	mapfile -t missing < <(missing_packages)
	[ "${#missing[@]}" -eq 0 ] || die "still missing after apt-get install: ${missing[*]}"
}

# debian_go prints the newest golang-1.NN-go package that the sources offer; backports count when they are listed.
debian_go() {
	apt-cache search --names-only '^golang-1\.[0-9]+-go$' 2>/dev/null | awk '{ print $1 }' | sort -V | tail -n 1
}

install_debian_go() {
	local package
	command -v apt-get >/dev/null || die "no Go found: install Go $(wanted_go) or newer and put it into PATH"
	can_be_root || die "no Go found: install Go $(wanted_go) or newer, or become root and run make deps again"
	package=$(debian_go)
	if [ -z "$package" ]; then
		apt update </dev/null || say "apt-get update complained; going on with what it brought"
		package=$(debian_go)
	fi
	[ -n "$package" ] || die "no Go found, and the package sources have none: install Go $(wanted_go) or newer by hand"
	say "installing: $package"
	apt_install "$package" || die "could not install $package: see apt-get's lines above"
	ls -d "/usr/lib/go-${package//[!0-9.]/}/bin"
}

# fetch_toolchain GODIR brings the Go of go.mod's go line by a go command that is too old to switch toolchains itself
# (before 1.21, as in Debian 12). Toolchains are published as versions of the module golang.org/toolchain, so that go
# command downloads one like any module, checked against the checksum database. Modules carry no execute bits: newer go
# commands set them after the download, and so does this.
fetch_toolchain() {
	local want arch dir cache
	want=$(wanted_go)
	case $(uname -m) in
	x86_64) arch=amd64 ;;
	aarch64) arch=arm64 ;;
	*) die "Go $want for $(uname -m) cannot be fetched: install it by hand" ;;
	esac
	say "fetching Go $want through the module proxy"
	dir=$(cd / && retry env GOFLAGS=-mod=mod "$1/go" mod download -json "golang.org/toolchain@v0.0.1-go$want.linux-$arch" |
		sed -n 's/^[[:space:]]*"Dir": "\(.*\)",\{0,1\}$/\1/p')
	[ -d "$dir" ] || die "Go $want could not be fetched by Go $(go_version "$1"): install Go $want or newer by hand"
	find "$dir/bin" "$dir/pkg/tool" -type f -exec chmod a+x {} +
	cache=$(tool_cache)
	mkdir -p "$cache"
	ln -sfn "$dir" "$cache/go-$want"
	printf '%s\n' "$cache/go-$want/bin"
}

ensure_go() {
	local want dir have
	want=$(wanted_go)
	dir=$("$repo/scripts/find-go.sh")
	if [ -z "$dir" ]; then
		dir=$(command -v go || true)
		if [ -n "$dir" ]; then
			dir=$(dirname "$dir")
		else
			dir=$(install_debian_go | tail -n 1)
		fi
	fi
	[ -x "$dir/go" ] || exit 1
	have=$(go_version "$dir")
	if ! version_at_least "$have" 1.21; then
		dir=$(fetch_toolchain "$dir" | tail -n 1)
		[ -x "$dir/go" ] || exit 1
		have=$(go_version "$dir")
	fi
	export PATH=$dir:$PATH
	if ! version_at_least "$have" "$want"; then
		say "Go $have is older than go.mod's $want: fetching that toolchain through the module proxy"
		export GOTOOLCHAIN=auto
		(cd "$repo" && retry go version >/dev/null) || die "Go $want could not be fetched: install it by hand"
	fi
}

# fetch_modules fills the module cache, so that a network failure shows here, with a retry, and not in the middle of a test.
fetch_modules() {
	(cd "$repo" && retry go mod download) || die "modules of go.mod could not be downloaded: see go's lines above"
}

# fetch_selftests has the kernel sources of the selftest downloaded here, where stale package lists can be refreshed, and not
# in the middle of a test. It is a help and no condition: the test that needs them says what it lacks.
fetch_selftests() {
	local version out refreshed=
	out=$(mktemp /tmp/heapfs-selftest.XXXXXX)
	for version in 6.1 6.12; do
		[ ! -d "$(cache_dir)/selftest/linux-source-$version" ] || continue
		say "fetching the kernel's selftest, $version"
		"$repo/integration/selftest.sh" "$version" "$out" </dev/null && continue
		if [ -z "$refreshed" ] && can_be_root; then
			retry apt update </dev/null || true
			refreshed=yes
		fi
		retry "$repo/integration/selftest.sh" "$version" "$out" </dev/null ||
			say "the selftest of $version could not be had: its test will say so"
	done
	rm -f "$out"
}

# fetch_media has the root file system of the media programs made here, for the same reason.
fetch_media() {
	[ "$(id -u)" -eq 0 ] || return 0 # its tests are root's
	retry "$repo/integration/rootfs/make.sh" >/dev/null || say "the media programs could not be had: their tests will say so"
}

install_packages
ensure_go
fetch_modules
[ ! -x "$repo/integration/selftest.sh" ] || fetch_selftests
[ ! -x "$repo/integration/rootfs/make.sh" ] || fetch_media
