#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
set -ex

cmake -S . -B conda-build ${CMAKE_ARGS:-} -DPYTHON_EXECUTABLE="$PYTHON" -DHSC_PYTHON="$PYTHON" \
    -DCMAKE_INSTALL_PREFIX="$PREFIX" -DCMAKE_PREFIX_PATH="$PREFIX" -DGR_PYTHON_DIR="${SP_DIR#"$PREFIX"/}"
cmake --build conda-build
cmake --install conda-build
# The program, with the two variables that the end of ./gr-hsc explains.
sed 's,^exec /usr/bin/python3 ,exec "$(dirname "$0")/python" ,' packaging/debian/program/gr-hsc >"$PREFIX/bin/gr-hsc"
chmod +x "$PREFIX/bin/gr-hsc"
