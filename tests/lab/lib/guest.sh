# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# Guests for the phones: their image, and the calls that reach them through Dom0's lab-guest.


build_guest_programs() {
    local out=$1 s=$FLIC_CACHE/lab/sysroot-$ARCH source sources=()
    local flags=(-std=gnu11 -O2 -Wall -Wextra -Werror -static "${ARCH_GUEST_FLAGS[@]}")
    "$TOP/scripts/sysroot" "$s" "$ARCH"
    for source in "$LAB"/guest/*.c; do
        [ "$(basename "$source")" = lab-net.c ] || sources+=("$source")
    done
    # SQLite can load extensions, which a static program never does: the linker's warning about it is expected.
    "$ARCH_TRIPLET-gcc" "${flags[@]}" -pthread -isystem "$s/usr/include" -o "$out/load" "${sources[@]}" \
        "$s/usr/lib/$ARCH_TRIPLET/libsqlite3.a" -lm 2>"$out/warnings" || { cat "$out/warnings" >&2; return 1; }
    "$ARCH_TRIPLET-gcc" "${flags[@]}" -o "$out/lab-net" "$LAB"/guest/{lab-net,echo,pattern}.c
}

# make_guest_image OUT: OUT/tree is laid over Dom0's system disk
make_guest_image() {
    local out=$1 tree=$1/initramfs m
    say "making the guest image"
    build_guest_programs "$out"
    mkdir -p "$tree"/{bin,sbin,dev,proc,sys} "$out"/tree/usr/{share/flic-lab,local/bin,local/sbin}
    cp -a "$ROOT/usr/bin/busybox" "$tree/bin/"
    for m in sh mount umount modprobe cat sleep mkdir ip sync ls echo free dmesg ps kill sha256sum cp rm ping date uptime grep md5sum dd; do
        ln -s busybox "$tree/bin/$m"
    done
    install -m 755 "$LAB/guest/init" "$tree/init"
    install -m 755 "$LAB/guest/poweroff" "$tree/sbin/poweroff"
    install -m 755 "$out/load" "$tree/bin/load"
    copy_modules "$ROOT" "$tree" xen-blkfront xen-netfront crc32c_generic ext4
    (cd "$tree" && find . | LC_ALL=C sort | cpio -o -H newc --quiet -R 0:0 | gzip -1) >"$out/tree/usr/share/flic-lab/guest.initrd"
    install -m 755 "$out/lab-net" "$out/tree/usr/local/bin/lab-net"
    install -m 755 "$LAB/dom0/lab-guest" "$out/tree/usr/local/sbin/lab-guest"
    rm -rf "$tree"
}

# Needs lab_image first. Sets GUEST_IMAGE.
# shellcheck disable=SC2034
guest_image() {
    GUEST_IMAGE=$FLIC_CACHE/lab/guest-$({ basename "$ROOT"; cache_key "$LAB/guest" "$LAB/lib/guest.sh" "$LAB/lib/arch.sh" "$LAB/dom0/lab-guest"; } |
        sha256sum | cut -c1-16)
    cache_once "$GUEST_IMAGE" make_guest_image
}

guest_name() { [[ $1 =~ ^[a-z][a-z0-9-]{0,30}$ ]] || usage_error "'$1' is no guest name"; }

phone_guest() {
    local phone=$1 guest=$2 memory=512 vcpus=1 workload=mixed seed=1 disk=512 limit=180 scale='' gap=no cold_seed='' type=pvh
    guest_name "$guest"
    shift 2
    while [ $# -gt 0 ]; do
        [ $# -ge 2 ] || usage_error "guest: $1 needs a value"
        case $1 in
            --memory) memory=$2; number --memory "$memory" 192 6144 ;;
            --vcpus) vcpus=$2; number --vcpus "$vcpus" 1 8 ;;
            --workload) workload=$2 ;;
            --seed) seed=$2; number --seed "$seed" 0 999999999 ;;
            --cold-seed) cold_seed=$2; number --cold-seed "$cold_seed" 0 999999999 ;;
            --disk) disk=$2; [ "$disk" = 0 ] || number --disk "$disk" 160 16384 ;;
            --scale) scale=$2; number --scale "$scale" 32 6144 ;;
            --gap) gap=$2; [[ $gap =~ ^(yes|no)$ ]] || usage_error '--gap takes yes or no' ;;
            --type) type=$2; [[ $type =~ ^(pvh|pv|hvm)$ ]] || usage_error '--type takes pvh, pv or hvm' ;;
            --limit) limit=$2; number --limit "$limit" 1 3600 ;;
            *) usage_error "guest: unknown argument $1" ;;
        esac
        shift 2
    done
    [[ $workload =~ ^(idle|memory|disk|net|db|mixed)$ ]] || usage_error "--workload takes idle, memory, disk, net, db or mixed"
    [ "$type" != hvm ] || give_model "$phone"
    phone_exec "$phone" lab-guest create "$guest" "$memory" "$vcpus" "$workload" "$seed" "$disk" "$limit" "${scale:-$memory}" "$gap" "${cold_seed:-$seed}" "$type"
}

phone_guest_status() { guest_name "$2"; phone_exec "$1" lab-guest status "$2" "${3:-}"; }
phone_guest_gap() { guest_name "$2"; phone_exec "$1" lab-guest gap "$2"; }
phone_guest_verify() { guest_name "$2"; phone_exec "$1" lab-guest verify "$2"; }

phone_guest_exec() {
    local phone=$1 guest=$2
    guest_name "$guest"
    shift 2
    phone_exec "$phone" lab-guest exec "$guest" "$*"
}
