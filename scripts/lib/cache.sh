# shellcheck shell=bash
# shellcheck disable=SC2034  # used by those who source this
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# Where downloads and built images are kept. Sourced, never run. Everything in it can be made again:
# deleting the folder costs a download, nothing else.

FLIC_CACHE=${FLIC_LAB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/flic-lab}
# The suite the phones run; design section 1 says why.
FLIC_SUITE=trixie

# Hash of file contents and names below the given paths: the key of what is built from them.
cache_key() {
    local path
    for path in "$@"; do
        if [ -d "$path" ]; then
            find "$path" -type f -not -name '*.md' -not -path '*/.git/*' -print0 | LC_ALL=C sort -z | xargs -0r sha256sum
        else
            sha256sum "$path"
        fi
    done | sha256sum | cut -c1-16
}

# cache_once DIR COMMAND...: runs COMMAND with a fresh folder as last argument, and only when DIR is not there
# yet; the finished folder appears in one rename, so a killed build leaves nothing half done.
cache_once() {
    local dir=$1
    shift
    [ ! -d "$dir" ] || return 0
    mkdir -p "$(dirname "$dir")"
    (
        flock 8
        [ ! -d "$dir" ] || exit 0
        rm -rf "$dir.new"
        mkdir -p "$dir.new"
        set -e
        "$@" "$dir.new"
        mv "$dir.new" "$dir"
    ) 8>"$dir.lock"
}
