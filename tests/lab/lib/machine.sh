# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# One emulated phone: its settings, its disks, the emulator, power.

# Settings of a new phone. A phone remembers what it was last started with.
default_settings() {
    arch=arm64 gic=3 ram=3072 nvram=512 flash=4096 flash_profile=emmc store_fs=ext4 xen=release vcpus=2 cpu=cortex-a76 overlay='' bootargs='' xenargs=''
}
SETTINGS=(arch gic ram nvram flash flash_profile store_fs xen vcpus cpu overlay bootargs xenargs)

load_settings() {
    default_settings
    # shellcheck source=/dev/null
    [ ! -f "$1/settings" ] || . "$1/settings"
}

save_settings() {
    local name
    for name in "${SETTINGS[@]}"; do printf '%s=%q\n' "$name" "${!name}"; done >"$1/settings"
}

number() {
    if ! [[ $2 =~ ^[0-9]+$ ]] || [ "$2" -lt "$3" ] || [ "$2" -gt "$4" ]; then
        usage_error "$1 takes a number from $3 to $4, not '$2'"
    fi
}

check_settings() {
    arch_set "$arch"
    arch_check_settings
    [[ $gic =~ ^[23]$ ]] || usage_error "--gic takes 2 or 3"
    number --ram "$ram" 1536 8192
    number --nvram "$nvram" 8 4096
    number --flash "$flash" 512 65536
    number --cpus "$vcpus" 1 4
    [[ $cpu =~ ^cortex-a(57|76)(,cntfrq=[0-9]+)?$ ]] || usage_error "--cpu takes cortex-a76 or cortex-a57, and behind it ,cntfrq=HZ"
    [[ $flash_profile =~ ^(emmc|ufs|none)$ ]] || usage_error "--flash-profile takes emmc, ufs or none"
    [[ $store_fs =~ ^(ext4|xfs)$ ]] || usage_error "--store-fs takes ext4 or xfs"
}

# The hypervisor to boot. Ours comes from `phone build`; a checkout that has none yet says so and boots Debian's.
xen_binary() {
    case $xen in
        stock) echo "$IMAGE/xen-stock" ;;
        release | debug)
            if [ -f "$BUILD/xen-$xen/xen" ]; then
                echo "$BUILD/xen-$xen/xen"
            elif [ "$xen" = debug ]; then
                die "no debug hypervisor is built; run 'phone build --debug'"
            else
                say "no hypervisor of ours is built ('phone build'); booting Debian's"
                echo "$IMAGE/xen-stock"
            fi ;;
        *)
            [ -f "$xen" ] || die "no hypervisor at $xen"
            echo "$xen" ;;
    esac
}

# A disk keeps its size for life. A new NVRAM or flash means a new phone.
make_disk() {
    local file=$1 mib=$2 have
    if [ -e "$file" ]; then
        have=$(($(stat -L -c %s "$file") >> 20))
        [ "$have" -eq "$mib" ] || die "$(basename "$file" .img) of this phone has $have MiB, not $mib; use 'phone up --fresh' to start over"
    else
        truncate -s "${mib}M" "$file"
    fi
}

make_disks() {
    local dir=$1
    nvram_make "$dir" "$nvram"
    make_disk "$dir/store.img" "$flash"
    make_disk "$dir/guests.img" "$flash"
}

# What this boot lays over the system disk: the guest image, FLIC's build, then the user's own tree.
make_overlay() {
    local dir=$1 run=$2 tree=$2/overlay source name
    mkdir -p "$tree/overlay"
    for source in ${GUEST_IMAGE:+"$GUEST_IMAGE/tree"} "$BUILD/flic-$ARCH" "$overlay"; do
        if [ -z "$source" ] || [ ! -d "$source" ]; then continue; fi
        cp -a "$source/." "$tree/overlay/"
        for name in bin sbin lib; do
            if [ -d "$tree/overlay/$name" ] && [ ! -L "$tree/overlay/$name" ]; then
                mkdir -p "$tree/overlay/usr/$name"
                cp -a "$tree/overlay/$name/." "$tree/overlay/usr/$name/"
                rm -rf "${tree:?}/overlay/$name"
            fi
        done
    done
    cp "$IMAGE/initramfs.gz" "$run/initrd"
    (cd "$tree" && find . | LC_ALL=C sort | cpio -o -H newc --quiet -R 0:0) >>"$run/initrd"
    rm -rf "$tree"
}

# Starts a program that outlives this script and holds none of its files open.
in_background() {
    local log=$1
    shift
    (
        exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
        exec setsid "$@" </dev/null >>"$log" 2>&1 &
        echo $!
    )
}

# What eMMC 5.0 and UFS 2.1 parts sustain, in bytes per second; both disks of a phone share one chip.
flash_speed() {
    case $flash_profile in
        emmc) echo 'x-bps-write=94371840,x-bps-read=262144000' ;;
        ufs) echo 'x-bps-write=262144000,x-bps-read=891289600' ;;
        none) echo '' ;;
    esac
}

start_flash() {
    local dir=$1 run=$2 disk i
    cp "$TOOLS/flash-disk" "$run/flash-disk"
    for disk in store guests; do
        in_background "$dir/flash.log" "$run/flash-disk" serve "$dir/$disk.img" "$run/$disk.nbd" "$run/$disk.ctl" 256 \
            >"$run/$disk.pid"
        for ((i = 0; i < 100; i++)); do
            [ ! -S "$run/$disk.ctl" ] || break
            sleep 0.02
        done
        [ -S "$run/$disk.ctl" ] || die "the $disk disk did not start: $(tail -n1 "$dir/flash.log")"
    done
}

start_emulator() {
    local dir=$1 run=$2 port=$3 disk node speed args rom=''
    [ "$VIRTIO" != pci ] || rom=,romfile=
    # shellcheck disable=SC2054  # the commas are QEMU's
    args=("${MACHINE[@]}" -no-reboot -accel tcg,thread=multi
        -chardev "socket,id=console,path=$run/serial,server=on,wait=off,logfile=$dir/console.log,logappend=on" -serial chardev:console
        -qmp "unix:$run/qmp,server=on,wait=off"
        -blockdev "driver=raw,node-name=system,read-only=on,file.driver=file,file.filename=$IMAGE/system.img,file.locking=off"
        -device "virtio-blk-$VIRTIO,drive=system,serial=system"
        -netdev "user,id=ssh,hostfwd=tcp:127.0.0.1:$port-:22" -device "virtio-net-$VIRTIO,netdev=ssh$rom")
    speed=$(flash_speed)
    [ -z "$speed" ] || args+=(-object "throttle-group,id=flash,$speed")
    for disk in store guests; do
        node=$disk-nbd
        args+=(-blockdev "driver=nbd,node-name=$node,server.type=unix,server.path=$run/$disk.nbd")
        if [ -n "$speed" ]; then
            node=$disk-slow
            args+=(-blockdev "driver=throttle,node-name=$node,throttle-group=flash,file=$disk-nbd")
        fi
        args+=(-device "virtio-blk-$VIRTIO,drive=$node,serial=$disk,write-cache=on,werror=report,rerror=report")
    done
    # For a link to another phone. Long packets, as without a tap Dom0 has to cut its data itself; still longer ones are no faster.
    args+=(-netdev "dgram,id=peer,local.type=unix,local.path=$run/peer.nic,remote.type=unix,remote.path=$run/peer.wire"
        -device "virtio-net-$VIRTIO,netdev=peer,mac=$(peer_mac "$NAME"),host_mtu=16000$rom")
    in_background "$dir/qemu.log" "$EMULATOR" "${args[@]}" >"$run/qemu.pid"
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# Sockets live in a short path: a unix socket's name has room for 107 characters.
make_run_dir() {
    local dir=$1 run
    rm -rf "$(readlink "$dir/run" 2>/dev/null || echo "$dir/run")" "$dir/run"
    run=$(mktemp -d "${TMPDIR:-/tmp}/flic-phone.XXXXXX")
    ln -s "$run" "$dir/run"
}

wait_ready() {
    local dir=$1 from=$2 seconds=$3 start=$SECONDS
    while ! tail -c "+$((from + 1))" "$dir/console.log" | grep -aq '^.*lab: ready'; do
        phone_runs "$dir" || die "the emulator stopped: $(tail -n1 "$dir/qemu.log" 2>/dev/null); console in $dir/console.log"
        [ $((SECONDS - start)) -lt "$seconds" ] || die "Dom0 is not up after $seconds s; see 'phone console $NAME'"
        sleep 0.1
    done
    tail -c "+$((from + 1))" "$dir/console.log" | grep -aq 'lab: storage mounted' ||
        die "Dom0 is up but a disk did not mount; see 'phone console $NAME'"
}

parse_up() {
    local dir=$1 new_arch=$arch
    shift
    fresh_phone=no
    while [ $# -gt 0 ]; do
        case $1 in
            --gic | --ram | --nvram | --flash | --flash-profile | --store-fs | --xen | --overlay | --arch | --image | --cpus | --cpu | --bootargs | --xenargs)
                [ $# -ge 2 ] || usage_error "$1 needs a value" ;;
        esac
        case $1 in
            --gic) gic=$2; shift ;;
            --ram) ram=$2; shift ;;
            --nvram) nvram=$2; shift ;;
            --flash) flash=$2; shift ;;
            --flash-profile) flash_profile=$2; shift ;;
            --store-fs) store_fs=$2; shift ;;
            --cpus) vcpus=$2; shift ;;
            --cpu) cpu=$2; shift ;;
            --xen) xen=$(realpath "$2"); shift ;;
            --overlay) overlay=$(realpath "$2"); [ -d "$overlay" ] || die "no folder $2"; shift ;;
            --bootargs) bootargs=$2; shift ;;
            --xenargs) xenargs=$2; shift ;;
            --arch) new_arch=$2; shift ;;
            --image) [ "$2" = fast ] || die "this lab has the fast image only so far"; shift ;;
            --stock-xen) xen=stock ;;
            --debug-xen) xen=debug ;;
            --our-xen) xen=release ;;
            --fresh) fresh_phone=yes ;;
            *) usage_error "up: unknown argument $1" ;;
        esac
        shift
    done
    if [ "$new_arch" != "$arch" ] && [ -e "$dir/formatted" ] && [ "$fresh_phone" = no ]; then
        die "$NAME is an $arch phone; use 'phone up --fresh' to start over"
    fi
    arch=$new_arch
}

phone_up() {
    local dir run hypervisor port fresh=no from=0
    NAME=$1
    dir=$(phone_dir "$NAME")
    shift
    ! phone_runs "$dir" || die "$NAME is running already"
    load_settings "$dir"
    parse_up "$dir" "$@"
    check_settings
    if [ "$fresh_phone" = yes ]; then phone_erase "$dir"; fi
    mkdir -p "$dir"
    stop_flash "$dir"
    lab_image
    guest_image
    make_disks "$dir"
    [ -e "$dir/formatted" ] || fresh=yes
    hypervisor=$(xen_binary)
    make_run_dir "$dir"
    run=$(readlink "$dir/run")
    save_settings "$dir"
    make_overlay "$dir" "$run"
    arch_machine "$dir" "$run" "$hypervisor" \
        "console=hvc0 rdinit=/init quiet flic.name=$NAME flic.fresh=$fresh flic.storefs=$store_fs $bootargs"
    port=$(free_port)
    echo "$port" >"$run/port"
    touch "$dir/console.log"
    from=$(stat -c %s "$dir/console.log")
    start_flash "$dir" "$run"
    start_emulator "$dir" "$run" "$port"
    wait_ready "$dir" "$from" "${FLIC_LAB_BOOT_LIMIT:-180}"
    touch "$dir/formatted"
    ssh_master "$dir"
    link_again "$NAME"
}

# Xen's debug keys, through the serial port: it listens to them once it has had three Ctrl-A.
phone_keys() {
    local dir
    dir=$(phone_dir "$1")
    phone_runs "$dir" || die "$1 is not running"
    python3 "$LAB/lib/debug-keys.py" "$dir/run/serial" "$2"
}
