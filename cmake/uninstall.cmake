# Removes what the last install wrote. SPDX-License-Identifier: GPL-3.0-or-later
file(STRINGS "${CMAKE_BINARY_DIR}/install_manifest.txt" installed)
file(REMOVE ${installed})

# The compiled modules are not in the manifest; left alone, they would keep an empty package importable.
list(FILTER installed INCLUDE REGEX "/gnuradio/hsc/__init__\\.py$")
get_filename_component(package "${installed}" DIRECTORY)
file(REMOVE_RECURSE "${package}")
