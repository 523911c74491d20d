# shellcheck shell=bash
# shellcheck disable=SC2034  # used by the other parts
# shellcheck disable=SC2154  # a phone's settings
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# What differs between an arm64 phone and an x86-64 one: names of packages and compilers, and the emulated machine.

# arch_set arm64|x86: the names
arch_set() {
    ARCH=$1
    case $ARCH in
        arm64)
            ARCH_DEBIAN=arm64 ARCH_TRIPLET=aarch64-linux-gnu ARCH_GUEST_FLAGS=(-march=armv8-a+crypto)
            ARCH_PACKAGES=(xen-hypervisor-4.20-arm64 linux-image-arm64) ;;
        x86)
            ARCH_DEBIAN=amd64 ARCH_TRIPLET=x86_64-linux-gnu ARCH_GUEST_FLAGS=()
            ARCH_PACKAGES=(xen-hypervisor-4.20-amd64 linux-image-amd64) ;;
        *) usage_error "--arch takes arm64 or x86" ;;
    esac
}

# Options that an architecture does not have.
arch_check_settings() {
    [ "$ARCH" = arm64 ] && return
    [ "$xen" != debug ] || usage_error "an x86 phone boots Debian's hypervisor, or one given by --xen"
    [ "$xen" != release ] || xen=stock
}

# arch_stock_xen TREE OUT: Debian's hypervisor, as the emulator takes it
arch_stock_xen() {
    case $ARCH in
        arm64) cp "$1/boot/xen-4.20-arm64" "$2" ;;
        x86) gzip -dc "$1/boot/xen-4.20-amd64.gz" >"$2" ;;
    esac
}

# ---- arm64: QEMU's virt machine ----

# Addresses in it; device-tree.py knows the first two as well.
XEN_AT=0x40400000
DTB_AT=0x47000000
KERNEL_AT=0x49000000
INITRD_AT=0x50000000

# The arguments that the tree dump and the real start have in common, one per line.
arm64_common() {
    local dir=$1
    printf '%s\n' -cpu "$cpu" -smp 2 -m "$((ram + nvram))M" -display none -nodefaults \
        -object "memory-backend-ram,id=ram,size=${ram}M" \
        -object "memory-backend-file,id=nvram,share=on,mem-path=$dir/nvram.img,size=${nvram}M" \
        -numa node,nodeid=0,cpus=0-1,memdev=ram -numa node,nodeid=1,memdev=nvram
}

# The tree that QEMU makes for a Xen with Dom0 kernel and initramfs, turned into the phone's.
arm64_tree() {
    local dir=$1 run=$2 hypervisor=$3 line=$4 type=virt,virtualization=on,gic-version=$gic common
    mapfile -t common < <(arm64_common "$dir")
    qemu-system-aarch64 -machine "$type,dumpdtb=$run/base.dtb" "${common[@]}" -kernel "$hypervisor" \
        -append "dom0_mem=1024M dom0_max_vcpus=$vcpus dom0_vcpus_pin loglvl=all guest_loglvl=all console=dtuart noreboot $xenargs" \
        -device "guest-loader,addr=$KERNEL_AT,kernel=$IMAGE/Image,bootargs=$line" \
        -device "guest-loader,addr=$INITRD_AT,initrd=$run/initrd" >"$run/dumpdtb.log" 2>&1 </dev/null ||
        die "QEMU did not write its device tree: $(tail -n1 "$run/dumpdtb.log")"
    dtc -q -I dtb -O dts "$run/base.dtb" -o "$run/base.dts"
    python3 "$LAB/lib/device-tree.py" "$run/base.dts" "$run/phone.dts" "$run/stub" "$ram" "$nvram"
    dtc -q -I dts -O dtb "$run/phone.dts" -o "$run/phone.dtb"
}

arm64_machine() {
    local dir=$1 run=$2 hypervisor=$3
    EMULATOR=qemu-system-aarch64 VIRTIO=device
    arm64_tree "$@"
    mapfile -t MACHINE < <(arm64_common "$dir")
    # shellcheck disable=SC2054  # the commas are QEMU's
    MACHINE+=(-machine "virt,virtualization=on,gic-version=$gic" -kernel "$run/stub"
        -device "loader,file=$hypervisor,addr=$XEN_AT,force-raw=on"
        -device "loader,file=$run/phone.dtb,addr=$DTB_AT,force-raw=on"
        -device "loader,file=$IMAGE/Image,addr=$KERNEL_AT,force-raw=on"
        -device "loader,file=$run/initrd,addr=$INITRD_AT,force-raw=on")
}

# ---- x86: QEMU's q35 machine, Xen by multiboot, NVRAM as a DIMM ----

x86_machine() {
    local dir=$1 run=$2 hypervisor=$3 line=$4
    EMULATOR=qemu-system-x86_64 VIRTIO=pci
    # A comma inside an argument of a multiboot module is written twice. dom0_mem without max would map all there is to Dom0 later.
    # shellcheck disable=SC2054  # the commas are QEMU's
    MACHINE=(-cpu 'qemu64,+svm,+npt,+nrip-save' -smp 2 -m "${ram}M,slots=2,maxmem=$((ram + nvram + 1024))M"
        -machine q35,nvdimm=on -display none -nodefaults
        -object "memory-backend-file,id=nvram,share=on,mem-path=$dir/nvram.img,size=${nvram}M" -device nvdimm,id=nvdimm,memdev=nvram
        -kernel "$hypervisor" -initrd "$IMAGE/Image ${line//,/,,},$run/initrd"
        -append "dom0_mem=1024M,max:1024M dom0_max_vcpus=$vcpus dom0_vcpus_pin loglvl=all guest_loglvl=all console=com1 com1=115200 noreboot $xenargs")
}

# arch_machine DIR RUN HYPERVISOR DOM0-LINE: sets EMULATOR, MACHINE (its arguments for CPU, memory, NVRAM and what it boots), VIRTIO
arch_machine() { "${ARCH}_machine" "$@"; }
