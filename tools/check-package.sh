#!/usr/bin/env bash
# Checks a Debian package of gr-hsc on a Debian where it is not installed: installs it, uses it, and removes it again.
# SPDX-License-Identifier: GPL-3.0-or-later
set -euo pipefail

usage() {
    cat <<'USAGE'
Usage: tools/check-package.sh DEB

Installs DEB with apt, runs `gr-hsc doctor` and `send`, looks for the blocks as GNU Radio Companion does, compiles an example, asks
for a completion, and purges the package: nothing of it may be left. Needs root on a machine that may change; tools/try-debian.sh
SUITE DEB runs it in a fresh chroot.
USAGE
}

case ${1:-} in
    -h | --help | help) usage; exit 0 ;;
    "" | -*) usage >&2; exit 2 ;;
esac
examples=/usr/share/gnuradio/examples/hsc
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export DEBIAN_FRONTEND=noninteractive

step() { printf '== %s\n' "$*"; }
fail() { printf 'check-package: %s\n' "$*" >&2; exit 1; }
of_package() { find /bin /etc /usr /var/lib ! -path '/var/lib/apt/*' \( -name '*gr-hsc*' -o -path '*/gnuradio/*hsc*' \); }

[[ -z $(of_package) ]] || fail "gr-hsc is installed here already: $(of_package | head -n 1)"
step "install"
apt-get update
apt-get install -y --no-install-recommends "$(readlink -f "$1")"
df -h --output=used /
cd "$work"

step "doctor"
gr-hsc doctor

step "send"
gr-hsc send "$examples/images/kitten.jpg" "$examples/images/digit_3.png" --snr 15 --out received
for name in kitten digit_3; do [[ -s received/$name.png ]] || fail "nothing was received of $name"; done

step "blocks"
/usr/bin/python3 - <<'PYTHON'
from gnuradio import gr
from gnuradio.grc.core.platform import Platform

version_parts = gr.major_version(), gr.api_version(), gr.minor_version()
platform = Platform(version=gr.version(), version_parts=version_parts, prefs=gr.prefs())
platform.build_library()
blocks = [block for block in platform.blocks.values() if block.key.startswith("hsc_")]
assert len(blocks) > 50, len(blocks)
odd = [block.key for block in blocks if "HSC" not in str(block.category)]
assert not odd, f"not in category HSC: {odd}"
print(len(blocks), "blocks in GNU Radio Companion's library")
PYTHON
gr-hsc grcc -o "$work" "$examples/hsc_loopback.grc"
[[ -s $work/hsc_loopback.py ]] || fail "grcc made no program of hsc_loopback.grc"

step "manual pages, completion"
for command in send tx doctor companion; do [[ -s /usr/share/man/man1/gr-hsc-$command.1.gz ]] || fail "no manual page of $command"; done
bash -c 'source /usr/share/bash-completion/completions/gr-hsc; complete -p gr-hsc'
COMP_WORDS="gr-hsc compa" COMP_CWORD=1 _GR_HSC_COMPLETE=bash_complete gr-hsc | sort | tr '\n' ' ' | grep 'companion.*compare'

step "purge"
apt-get purge -y gr-hsc
[[ -z $(of_package) ]] || fail "left behind: $(of_package | tr '\n' ' ')"
step "all passed"
