# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# Everything a phone boots, from this checkout.

# A failed build leaves the last good one in place.
build_xen() {
    local mode=$1 option=() out=$BUILD/xen-$1
    [ "$mode" = release ] || option=(--debug)
    if [ ! -x "$TOP/hypervisor/build" ]; then
        say "hypervisor/build is not there; phones boot Debian's hypervisor"
        return 0
    fi
    say "building the hypervisor ($mode)"
    mkdir -p "$out"
    "$TOP/hypervisor/build" "${option[@]}" "$out" || die "hypervisor/build failed"
    [ -f "$out/xen" ] || die "hypervisor/build left no $out/xen"
}

build_flic() {
    local out=$BUILD/flic-arm64
    if [ ! -x "$TOP/scripts/build" ]; then
        say "scripts/build is not there; phones boot without FLIC"
        return 0
    fi
    say "building FLIC for arm64"
    rm -rf "$out.new"
    "$TOP/scripts/build" arm64 "$out.new" || die "scripts/build failed"
    rm -rf "$out"
    mv "$out.new" "$out"
}

phone_build() {
    local debug=no flic=yes
    while [ $# -gt 0 ]; do
        case $1 in
            --debug) debug=yes ;;
            --no-flic) flic=no ;;
            --arch | --image) shift ;;
            *) usage_error "build: unknown argument $1" ;;
        esac
        shift
    done
    lab_image
    guest_image
    mkdir -p "$BUILD"
    build_xen release
    [ "$debug" = no ] || build_xen debug
    [ "$flic" = no ] || build_flic
}
