#!/usr/bin/env bash
# Tries this checkout on a fresh Debian: what a new user types on a machine where nothing is installed.
# SPDX-License-Identifier: GPL-3.0-or-later
set -euo pipefail

usage() {
    cat <<'USAGE'
Usage: tools/try-debian.sh SUITE [COMMAND... | DEB]

Makes a Debian SUITE (bookworm, trixie, testing) in a folder by debootstrap, clones this checkout's last commit into it, and runs
each COMMAND of ./gr-hsc there in a chroot: by default `demo`, then `test`. Prints a line of result for each, and ends with the
first status that is not 0. With DEB, a Debian package, that is installed, used and removed there instead (tools/check-package.sh).
Needs root, debootstrap, git and about 9 GB (3 GB where torch's build for CPUs can be had, or for DEB).

The folder is TRY_DEBIAN/SUITE, by default in /var/tmp/try-debian; it is made anew, but its packages of Debian and PyPI are kept in
TRY_DEBIAN/SUITE.cache. Logs are TRY_DEBIAN/SUITE.COMMAND.log. Mounts live in a namespace of their own and end with it.

Examples
  sudo tools/try-debian.sh trixie
  sudo tools/try-debian.sh bookworm doctor 'test -k ldpc'
  sudo tools/try-debian.sh trixie build/package/gr-hsc_0.1.0-1_amd64.deb
USAGE
}

say() { printf 'try-debian: %s\n' "$*" >&2; }
die() { say "$*"; exit 2; }

case ${1:-} in
    -h | --help | help) usage; exit 0 ;;
    "" | -*) usage >&2; exit 2 ;;
esac
suite=$1
shift
(($#)) || set -- demo test
((EUID == 0)) || die "debootstrap and chroot need root: sudo tools/try-debian.sh $suite"
for program in debootstrap git unshare chroot; do
    command -v "$program" >/dev/null || die "$program is missing: apt-get install debootstrap git util-linux coreutils"
done
# Once more, in namespaces of its own.
[[ -n ${TRY_DEBIAN_INSIDE:-} ]] || exec env TRY_DEBIAN_INSIDE=1 unshare --mount --pid --fork --kill-child "$0" "$suite" "$@"

root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
base=${TRY_DEBIAN:-/var/tmp/try-debian}
target=$base/$suite
cache=$base/$suite.cache
mirror=${TRY_DEBIAN_MIRROR:-http://deb.debian.org/debian}

make_debian() {
    say "$suite in $target from $mirror"
    rm -rf --one-file-system "$target"
    mkdir -p "$target" "$cache/apt" "$cache/pip"
    debootstrap --variant=minbase --include=ca-certificates --cache-dir="$cache/apt" "$suite" "$target" "$mirror" >"$base/$suite.debootstrap.log" 2>&1 ||
        die "debootstrap failed: $(tail -n 1 "$base/$suite.debootstrap.log")"
    mount -t proc proc "$target/proc"
    mount --rbind /dev "$target/dev"
    mkdir -p "$target/root/.cache/pip"
    mount --bind "$cache/apt" "$target/var/cache/apt/archives"
    mount --bind "$cache/pip" "$target/root/.cache/pip"
    cp /etc/resolv.conf "$target/etc/resolv.conf"
    # debootstrap of some suites leaves none, which every installed Debian has.
    [[ -s $target/etc/hosts ]] || printf '127.0.0.1\tlocalhost\n::1\tlocalhost\n' >"$target/etc/hosts"
    echo 'APT::Keep-Downloaded-Packages "true";' >"$target/etc/apt/apt.conf.d/01keep"
    # Certificates that this machine trusts besides Debian's, such as a proxy's.
    cp -r /usr/local/share/ca-certificates/. "$target/usr/local/share/ca-certificates/"
    chroot "$target" update-ca-certificates >/dev/null 2>&1
}

run_in() { # words of a command in the checkout, gr-hsc in the first folder there; proxies and pip's settings go along, all else is new
    local kept
    mapfile -t kept < <(env | grep -iE '^((http|https|ftp|no|all)_proxy|PIP_(CERT|INDEX_URL|DEFAULT_TIMEOUT))=' || true)
    chroot "$target" /usr/bin/env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
        PYTHONDONTWRITEBYTECODE=1 "${kept[@]}" /bin/sh -c 'cd gr-hsc && exec "$@"' sh "$@"
}

make_debian
git -c advice.detachedHead=false clone -q --no-hardlinks "$root" "$target/gr-hsc"
say "$(<"$target/etc/debian_version"), commit $(git -C "$target/gr-hsc" log -1 --format=%h)"

try() { # what it is called, its log, words of the command
    local name=$1 log=$2 began=$SECONDS status=0
    shift 2
    run_in "$@" >"$log" 2>&1 </dev/null || status=$?
    say "$suite: $name: status $status after $((SECONDS - began)) s: $(grep -v '^$' "$log" | tail -n 1)"
    ((result)) || result=$status
}

result=0
for command; do
    if [[ $command == *.deb ]]; then
        cp "$command" "$target/gr-hsc"
        try "$command" "$base/$suite.package.log" tools/check-package.sh "${command##*/}"
    else
        # shellcheck disable=SC2086  a command with arguments is one word of ours
        try "./gr-hsc $command" "$base/$suite.${command%% *}.log" ./gr-hsc $command
    fi
done
exit "$result"
