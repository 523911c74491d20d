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

# FLIC as it is installed on a phone, the lab's own tools beside it, flicd started at boot, and our xl first in PATH.
build_flic() {
    local out=$BUILD/flic-$ARCH
    say "building FLIC for $ARCH"
    rm -rf "$out.new"
    "$TOP/scripts/build" "$ARCH" "$BUILD/$ARCH" "$out.new" || die "scripts/build failed"
    # shellcheck disable=SC1091  # written by scripts/sysroot
    (. "$FLIC_CACHE/sysroot-$ARCH/env" && make -s -C "$LAB/tools" OUT="$out.new/usr/local/bin") || die "the lab's tools do not build"
    install -D -m 644 "$LAB/dom0/flicd.conf" "$out.new/etc/flic/flicd.conf"
    install -D -m 755 "$LAB/dom0/start-flicd" "$out.new/usr/local/sbin/start-flicd"
    install -D -m 755 "$LAB/dom0/rc.local" "$out.new/etc/lab/rc.local"
    mkdir -p "$out.new/usr/local/sbin"
    ln -sf /usr/libexec/flic/xl "$out.new/usr/local/sbin/xl"
    rm -rf "$out"
    mv "$out.new" "$out"
}

phone_build() {
    local debug=no flic=yes arch=arm64
    while [ $# -gt 0 ]; do
        case $1 in
            --debug) debug=yes ;;
            --no-flic) flic=no ;;
            --arch) [ $# -ge 2 ] || usage_error "--arch needs a value"; arch=$2; shift ;;
            --image) shift ;;
            *) usage_error "build: unknown argument $1" ;;
        esac
        shift
    done
    arch_set "$arch"
    lab_image
    guest_image
    mkdir -p "$BUILD"
    # An x86 phone boots Debian's hypervisor: that one has log-dirty and context.
    if [ "$ARCH" = arm64 ]; then
        build_xen release
        [ "$debug" = no ] || build_xen debug
    fi
    [ "$flic" = no ] || build_flic
}
