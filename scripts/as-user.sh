#!/usr/bin/env bash
# as-user.sh CMD [ARG…]: runs CMD as an ordinary user, to see what such a user sees. Exits with CMD's status.
#
# An ordinary user gets CMD as it is. Root gets it with uid and gid AS_USER_ID (65534 when unset), no groups and no
# capabilities, in a private mount namespace:
#   * a tmpfs over a folder that is empty (/mnt, as a rule) holds a home, an XDG_RUNTIME_DIR and, when the user could not execute CMD where it lies (a
#     checkout below /root, say), a copy of CMD;
#   * where /dev/fuse is closed to ordinary users (distributions have it 0666, bare machines and containers often 0600), a
#     node with mode 0666 is bound over it.
# The namespace ends with CMD and takes all of it along: nothing on the host changes, and there is nothing to clean up.
set -euo pipefail

[ $# -gt 0 ] || {
	echo "usage: ${0##*/} CMD [ARG…]" >&2
	exit 2
}

if [ "$(id -u)" -ne 0 ]; then
	exec "$@"
fi

if [ "${AS_USER_INSIDE:-}" != "$PPID.$$" ]; then
	# unshare replaces this process, so the namespace's shell has this one's id and parent: that is how it knows itself,
	# and a variable inherited by chance from an outer as-user.sh does not.
	AS_USER_INSIDE=$PPID.$$ exec unshare --mount --propagation private -- "${BASH_SOURCE[0]}" "$@"
fi
unset AS_USER_INSIDE

id=${AS_USER_ID:-65534}
drop=(setpriv "--reuid=$id" "--regid=$id" --clear-groups --inh-caps=-all --)
can() { "${drop[@]}" "$@" 2>/dev/null; }

# box prints a folder that every system has and nobody will miss in here.
box() {
	local dir
	for dir in /mnt /media /srv; do
		if [ -d "$dir" ] && [ -z "$(ls -A "$dir")" ]; then
			printf '%s\n' "$dir"
			return
		fi
	done
	printf '%s\n' /mnt
}
box=$(box)

program=$(command -v -- "$1") || {
	echo "${0##*/}: $1: not found" >&2
	exit 127
}
program=$(realpath -- "$program")
shift

# A copy is taken before the tmpfs may cover the program, and by descriptor, so that its place does not matter.
exec {source}<"$program"
here=$PWD
mount -t tmpfs -o mode=0755 heapfs-as-user "$box"
mkdir -m 0755 "$box/bin"
mkdir -m 0700 "$box/home" "$box/run"
chown "$id:$id" "$box/home" "$box/run"

if [ -e /dev/fuse ] && ! can bash -c 'exec 3<>/dev/fuse'; then
	mknod -m 0666 "$box/fuse" c 10 229
	mount --bind "$box/fuse" /dev/fuse
fi
if ! can test -x "$program"; then
	cp "/proc/self/fd/$source" "$box/bin/${program##*/}"
	chmod 0755 "$box/bin/${program##*/}"
	program=$box/bin/${program##*/}
fi
exec {source}<&-
can test -x "$here" || cd "$box/home"

exec "${drop[@]}" env -u SUDO_UID -u SUDO_GID -u SUDO_USER -u TMPDIR \
	HOME="$box/home" XDG_RUNTIME_DIR="$box/run" USER=nobody LOGNAME=nobody "$program" "$@"
