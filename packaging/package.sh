# `./gr-hsc package deb`: a part of the launcher, whose functions it uses. Builds a Debian package in build/package/.
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash

os_release=/etc/os-release
tree=$build/package/gr-hsc
log=$build/package.log

build_depends() { # "package|why"... that debian/control names; a compiler comes with build-essential
    printf '%s|builds the package\n' build-essential
    sed -n '/^Build-Depends:/,/^[^ ]/s/^ \([a-z0-9.+-]*\).*/\1|builds the package/p' "$root/packaging/debian/control" |
        sed 's/^debhelper-compat|/debhelper|/'
}

debian_13() { # ... or later: testing has no number
    (source "$os_release" && [[ ${ID:-} == debian ]] && ((${VERSION_ID:-99} >= 13))) 2>/dev/null
}

build_deb() {
    local needed made
    debian_13 || die "a Debian package is made of Debian 13's libraries: build it there or later, in a container or by tools/try-debian.sh"
    mapfile -t needed < <(build_depends)
    lock
    : >"$log"
    install_packages "${needed[@]}"
    rm -rf "$build/package"
    mkdir -p "$tree/tests"
    cp -r "$root"/{CHANGELOG.md,CMakeLists.txt,MANIFEST.md,README.md,cmake,docs,examples,grc,python} "$tree"
    cp "$root/tests/CMakeLists.txt" "$tree/tests" # CMake reads it; the tests themselves stay
    cp -r "$root/packaging/debian" "$tree/debian"
    say "downloading what Debian lacks from PyPI"
    # The build itself needs no network. Each file has to have the hash that vendored.txt says.
    logged /usr/bin/python3 -m pip download --disable-pip-version-check --no-input --no-deps --only-binary :all: --require-hashes \
        -r "$tree/debian/vendored.txt" -d "$tree/debian/wheels" || die "the Python packages could not be had (more in $log)"
    say "building the package, a few minutes; details in $log"
    (cd "$tree" && logged dpkg-buildpackage -b -us -uc) || die "the package could not be built (more in $log)"
    made=("$build"/package/gr-hsc_*.deb)
    say "install it by: sudo apt install ${made[0]}"
    printf '%s\n' "${made[0]}"
}

case ${1:-} in
    deb) build_deb ;;
    -h | --help | help) printf 'Usage: ./gr-hsc package deb\n\nBuilds a Debian package of this checkout in build/package/, on Debian 13 or later.\n' ;;
    *) say "what to build: ./gr-hsc package deb"; exit 2 ;;
esac
