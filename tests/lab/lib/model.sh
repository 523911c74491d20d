# shellcheck shell=bash
# shellcheck disable=SC2153,SC2154  # the settings of the other parts
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# The device model for HVM guests of an x86 phone: Debian's qemu-system-xen and seabios as they are, but beside the guests' disks and not
# in Dom0's system, which would be a third larger for something that one test needs.

# make_model OUT: OUT/model.tar, to be unpacked into /guests/.model
make_model() {
    local out=$1 root=$1/root model=$1/model debs
    say "making the device model's files"
    apt_open "$FLIC_CACHE/apt/$FLIC_SUITE-$ARCH_DEBIAN" "$FLIC_SUITE" "$ARCH_DEBIAN"
    mapfile -t debs < <(apt_debs qemu-system-xen)
    [ ${#debs[@]} -gt 1 ] || { say "qemu-system-xen could not be fetched"; return 1; }
    apt_unpack "$root" "${debs[@]}"
    mkdir -p "$model"/{lib,share/keymaps}
    cp "$root/usr/libexec/xen-qemu-system-i386" "$model/"
    cp -a "$root"/usr/lib/x86_64-linux-gnu/*.so* "$model/lib/"
    # What Dom0 has itself must not be had twice: a second libc, or a second libxenctrl.
    (cd "$model/lib" && for lib in *; do [ ! -e "$ROOT/usr/lib/x86_64-linux-gnu/$lib" ] || rm -f "$lib"; done)
    cp -L "$root"/usr/share/seabios/*.bin "$root"/usr/share/qemu/{linuxboot,multiboot}*.bin "$root/usr/share/qemu/kvmvapic.bin" "$model/share/"
    cp "$root/usr/share/qemu/keymaps/en-us" "$model/share/keymaps/"       # it wants one even without a display
    cat >"$model/qemu" <<'SH'
#!/bin/sh
export LD_LIBRARY_PATH=/guests/.model/lib
exec /guests/.model/xen-qemu-system-i386 -L /guests/.model/share "$@"
SH
    chmod 755 "$model/qemu"
    tar -C "$model" -cf "$out/model.tar" .
    rm -rf "$root" "$model"
}

# give_model PHONE: once; it stays with the guests' disks
give_model() {
    if phone_exec "$1" 'test -e /guests/.model/qemu'; then return; fi
    arch_set x86
    lab_image
    MODEL=$FLIC_CACHE/lab/model-$({ basename "$ROOT"; cache_key "$LAB/lib/model.sh"; } | sha256sum | cut -c1-16)
    cache_once "$MODEL" make_model
    phone_exec --stdin "$1" 'rm -rf /guests/.model.new; mkdir /guests/.model.new && tar -C /guests/.model.new -x && sync &&
                             mv /guests/.model.new /guests/.model' <"$MODEL/model.tar"
}
