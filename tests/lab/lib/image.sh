# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# Builds what a phone boots from: the Dom0 system disk and its initramfs, out of Debian packages.
# Each step's result lives in the cache under a hash of what went in.

LAB_PACKAGES=(
    base-files xen-utils-4.20 xen-utils-common xenstore-utils busybox-static
    bash dash bsdutils coreutils debianutils util-linux mount iproute2 iputils-ping procps psmisc grep sed gawk findutils
    tar gzip xz-utils hostname time attr jq netcat-openbsd strace gdbserver sqlite3 xfsprogs e2fsprogs ndctl kmod
    openssh-server openssh-client lvm2 thin-provisioning-tools
    libevent-2.1-7t64 libevent-core-2.1-7t64 libevent-extra-2.1-7t64 libevent-pthreads-2.1-7t64
    libsqlite3-0 libxxhash0 libzstd1 liblz4-1 libsodium23 libjansson4 libconfig11 libyajl2
)
# Modules needed at every boot are kept unpacked; under emulation xz takes longer than the modules themselves.
LAB_PLAIN_MODULES=(drivers/xen drivers/net/xen-netback drivers/net/xen-netfront.ko.xz drivers/block drivers/nvdimm
    drivers/acpi/nfit drivers/dax drivers/virtio drivers/net/virtio_net.ko.xz drivers/net/net_failover.ko.xz fs/ext4 fs/jbd2 fs/xfs
    fs/mbcache.ko.xz fs/overlayfs lib crypto net/core net/bridge net/802 net/llc)

lab_debs() {
    apt_open "$FLIC_CACHE/apt/$FLIC_SUITE-$ARCH_DEBIAN" "$FLIC_SUITE" "$ARCH_DEBIAN"
    apt_debs "${LAB_PACKAGES[@]}" "${ARCH_PACKAGES[@]}"
}

kernel_version() { basename "$(echo "$1"/usr/lib/modules/*)"; }

merge_usr() {
    local root=$1 name
    for name in bin sbin lib; do
        if [ -d "$root/$name" ] && [ ! -L "$root/$name" ]; then
            cp -a "$root/$name/." "$root/usr/$name/"
            rm -rf "${root:?}/$name"
        fi
        [ -L "$root/$name" ] || ln -s "usr/$name" "$root/$name"
    done
}

unpack_modules() {
    local root=$1 base path
    base=$root/usr/lib/modules/$(kernel_version "$root")
    for path in "${LAB_PLAIN_MODULES[@]}"; do
        [ ! -e "$base/kernel/$path" ] || find "$base/kernel/$path" -name '*.ko.xz' -print0
    done | xargs -0 -P2 -n 32 xz -df
    depmod -b "$root" "$(kernel_version "$root")"
}

# unpack_root DEBS ROOT
unpack_root() {
    local debs=$1 root=$2 list
    mapfile -t list <"$debs"
    say "unpacking ${#list[@]} packages"
    apt_unpack "$root" "${list[@]}"
    merge_usr "$root"
    (cd "$root/usr/share" && rm -rf doc man locale info zoneinfo bash-completion i18n perl lintian)
    rm -rf "$root"/usr/lib/{python3*,linux-image-*,systemd,udev,klibc*,dracut} "$root"/usr/share/python3*
    unpack_modules "$root"
}

lab_accounts() {
    local etc=$1/etc
    printf '%s\n' 'root:x:0:0:root:/root:/bin/bash' 'sshd:x:100:65534::/run/sshd:/usr/sbin/nologin' \
        'nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin' >"$etc/passwd"
    printf '%s\n' 'root:*:19000:0:99999:7:::' 'sshd:*:19000:0:99999:7:::' 'nobody:*:19000:0:99999:7:::' >"$etc/shadow"
    printf '%s\n' 'root:x:0:' 'tty:x:5:' 'disk:x:6:' 'nogroup:x:65534:' >"$etc/group"
    chmod 600 "$etc/shadow"
}

# One key pair for all phones of this cache, and one host key.
lab_keys() {
    local dir=$1
    ssh-keygen -q -t ed25519 -N '' -C flic-lab -f "$dir/client"
    ssh-keygen -q -t ed25519 -N '' -C flic-lab-phone -f "$dir/host"
    echo "flic-lab-phone $(cut -d' ' -f1,2 "$dir/host.pub")" >"$dir/known_hosts"
}

install_dom0_files() {
    local root=$1 keys=$2 lab=$1/etc/lab
    mkdir -p "$lab" "$root/root/.ssh" "$root"/{proc,sys,dev,run,tmp,nvram,guests} "$root"/var/{lib/flic,log/xen}
    install -m 755 "$LAB/dom0/boot" "$lab/boot"
    install -m 644 "$LAB/dom0/sshd_config" "$lab/sshd_config"
    install -m 644 "$LAB/dom0/inittab" "$root/etc/inittab"
    mkdir -p "$root/usr/local/sbin"
    install -m 755 "$LAB/dom0/poweroff" "$root/usr/local/sbin/lab-poweroff"
    install -m 600 "$keys/host" "$lab/host_key"
    install -m 600 "$keys/client.pub" "$lab/authorized_keys"
    # Phones reach each other with the same key, under whatever names a link gives them: all have one host key.
    install -m 600 "$keys/client" "$root/root/.ssh/id_ed25519"
    printf '* %s\n' "$(cut -d' ' -f1,2 "$keys/host.pub")" >"$root/etc/ssh/ssh_known_hosts"
    install -m 644 "$LAB/dom0/lvm.conf" "$root/etc/lvm/lvm.conf"
    ln -sf /usr/bin/busybox "$root/usr/sbin/init"
    ln -sf /usr/bin/busybox "$root/usr/sbin/poweroff"
    [ -e "$root/usr/bin/sh" ] || ln -s dash "$root/usr/bin/sh"
    ln -sf "vmlinuz-$(kernel_version "$root")" "$root/boot/vmlinuz"
    ln -sf gawk "$root/usr/bin/awk"
    ln -sf which.debianutils "$root/usr/bin/which"
    rm -rf "$root/var/run" "$root/var/lock"
    ln -s ../run "$root/var/run"
    ln -s ../run/lock "$root/var/lock"
    printf '127.0.0.1 localhost\n' >"$root/etc/hosts"
    printf 'flic-lab\n' >"$root/etc/hostname"
    ln -sf /proc/self/mounts "$root/etc/mtab"
    lab_accounts "$root"
}

make_initramfs() {
    local root=$1 out=$2 k tree m
    k=$(kernel_version "$root")
    tree=$out/initramfs
    mkdir -p "$tree"/{bin,dev,proc,sys,"lib/modules/$k"}
    cp -a "$root/usr/bin/busybox" "$tree/bin/"
    for m in sh mount modprobe cat sleep mkdir cp switch_root; do ln -s busybox "$tree/bin/$m"; done
    install -m 755 "$LAB/dom0/initramfs-init" "$tree/init"
    copy_modules "$root" "$tree" virtio_mmio virtio_pci virtio_blk crc32c_generic ext4 overlay
    (cd "$tree" && find . | LC_ALL=C sort | cpio -o -H newc --quiet -R 0:0 | gzip -1) >"$out/initramfs.gz"
    pad4 "$out/initramfs.gz"
    rm -rf "$tree"
}

# copy_modules ROOT TREE NAME...: the named modules and what they depend on
copy_modules() {
    local root=$1 tree=$2 k file name
    shift 2
    k=$(kernel_version "$root")
    for name in "$@"; do
        modprobe -q -d "$root" -S "$k" --show-depends "$name" | sed -nE 's/^insmod ([^ ]+).*/\1/p'
    done | sort -u | while read -r file; do
        file=${file#"$root"}
        mkdir -p "$tree/lib/modules/$k/$(dirname "${file#*"/$k/"}")"
        cp "$root/$file" "$tree/lib/modules/$k/${file#*"/$k/"}"
    done
    cp "$root/usr/lib/modules/$k"/modules.{order,builtin,builtin.modinfo} "$tree/lib/modules/$k/"
    find "$tree/lib/modules" -name '*.ko.xz' -exec xz -df {} +
    depmod -b "$tree" "$k"
}

# Linux takes several cpio archives in a row when each starts at a multiple of four bytes.
pad4() { truncate -s "%4" "$1"; }

# make_image ROOT KEYS OUT: system disk, initramfs, kernel, stock hypervisor
make_image() {
    local root=$1 keys=$2 out=$3 size tree=$3/tree
    say "making the Dom0 image"
    cp -a --reflink=auto "$root" "$tree"
    install_dom0_files "$tree" "$keys"
    make_initramfs "$tree" "$out"
    cp "$tree/boot/vmlinuz-$(kernel_version "$tree")" "$out/Image"
    arch_stock_xen "$tree" "$out/xen-stock"
    size=$(($(du -sm --apparent-size "$tree" | cut -f1) * 5 / 4 + 64))
    truncate -s "${size}M" "$out/system.img"
    mke2fs -q -F -t ext4 -O ^has_journal -m 0 -L flic-system -d "$tree" "$out/system.img"
    rm -rf "$tree"
}

# Needs arch_set first. Makes what is missing; sets IMAGE (system disk and friends), ROOT (unpacked packages), KEYS, TOOLS.
lab_image() {
    local debs=$FLIC_CACHE/lab/debs.$$ key
    mkdir -p "$FLIC_CACHE/lab"
    lab_debs >"$debs" || { rm -f "$debs"; die "the packages for Dom0 could not be fetched"; }
    key=$({ xargs -n1 basename <"$debs"; declare -f unpack_root merge_usr unpack_modules; } | sha256sum | cut -c1-16)
    ROOT=$FLIC_CACHE/lab/root-$key
    cache_once "$ROOT" unpack_root "$debs"
    rm -f "$debs"
    KEYS=$FLIC_CACHE/lab/keys
    cache_once "$KEYS" lab_keys
    key=$({ echo "$key"; cache_key "$LAB/dom0" "$LAB/lib/image.sh" "$KEYS"; } | sha256sum | cut -c1-16)
    IMAGE=$FLIC_CACHE/lab/image-$key
    cache_once "$IMAGE" make_image "$ROOT" "$KEYS"
    lab_tools
}

# The host's side of a phone's devices. Sets TOOLS.
lab_tools() {
    TOOLS=$FLIC_CACHE/lab/tools-$(cache_key "$LAB"/{flash-disk,wire}.c "$LAB/control.h")
    cache_once "$TOOLS" make_tools
}

make_tools() {
    local name
    for name in flash-disk wire; do gcc -std=gnu11 -O2 -Wall -Wextra -Werror -o "$1/$name" "$LAB/$name.c" || return; done
}
