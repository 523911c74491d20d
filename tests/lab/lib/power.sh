# shellcheck shell=bash
# shellcheck disable=SC2154  # the settings come from load_settings
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# Ending a phone: orderly, or by pulling the battery.

# Flash servers end after the emulator, so that all it sent has arrived.
stop_flash() {
    local dir=$1 disk pid
    for disk in store guests; do
        pid=$(cat "$dir/run/$disk.pid" 2>/dev/null || true)
        pid_alive "$pid" || continue
        "$dir/run/flash-disk" ask "$dir/run/$disk.ctl" quit >/dev/null 2>&1 || true
        wait_gone "$pid" 5 || kill "$pid" 2>/dev/null || true
    done
}

clean_run() {
    local dir=$1 run
    run=$(readlink "$dir/run" 2>/dev/null || true)
    ssh_close "$dir"
    stop_flash "$dir"
    [ -z "$run" ] || rm -rf "$run"
    rm -f "$dir/run"
}

kill_emulator() {
    local pid
    pid=$(phone_pid "$1")
    pid_alive "$pid" || return 0
    kill -KILL "$pid"
    wait_gone "$pid" 10 || die "the emulator (pid $pid) does not go away"
}

phone_erase() {
    local dir=$1
    kill_emulator "$dir"
    clean_run "$dir"
    nvram_erase "$dir"
    rm -rf "$dir"
}

phone_down() {
    local dir
    dir=$(phone_dir "$1")
    if phone_runs "$dir"; then
        timeout 60 "${SSH[@]}" -S "$dir/run/ssh" -p "$(cat "$dir/run/port")" root@127.0.0.1 lab-poweroff </dev/null >/dev/null 2>&1 || true
        if ! wait_gone "$(phone_pid "$dir")" 30; then
            say "$1 did not power off by itself; stopping the emulator"
            kill_emulator "$dir"
        fi
    fi
    clean_run "$dir"
}

phone_rm() {
    local dir link
    dir=$(phone_dir "$1")
    link=$(link_of "$1")
    phone_erase "$dir"
    [ -z "$link" ] || link_forget "$link"
}

# NVRAM keeps every store that reached memory: the emulator has no CPU cache to lose, so a missing flush to the
# point of persistence cannot be seen here.
phone_cut() {
    local name=$1 dir lose=no seed=$RANDOM$RANDOM disk
    dir=$(phone_dir "$name")
    shift
    while [ $# -gt 0 ]; do
        case $1 in
            --lose-unflushed) lose=yes ;;
            --seed) [[ ${2:-} =~ ^[0-9]+$ ]] || usage_error "--seed takes a number"; seed=$2; shift ;;
            *) usage_error "cut: unknown argument $1" ;;
        esac
        shift
    done
    phone_runs "$dir" || die "$name is not running"
    kill_emulator "$dir"
    if [ "$lose" = yes ]; then
        for disk in store guests; do
            printf '%s ' "$disk"
            "$dir/run/flash-disk" ask "$dir/run/$disk.ctl" "lose $seed" || die "the $disk disk did not answer"
        done
    fi
    clean_run "$dir"
}

# phone flash NAME store|guests stats | fail read|write|flush COUNT
phone_flash() {
    local dir disk=${2:-}
    dir=$(phone_dir "$1")
    [[ $disk =~ ^(store|guests)$ ]] || usage_error "flash: which disk, store or guests?"
    phone_runs "$dir" || die "$1 is not running"
    shift 2
    [[ "$*" =~ ^(stats|fail\ (read|write|flush)\ [0-9]+)$ ]] || usage_error "flash: stats, or fail read|write|flush COUNT"
    "$dir/run/flash-disk" ask "$dir/run/$disk.ctl" "$*"
}

phone_list() {
    local dir name
    for dir in "$STATE"/*/; do
        [ -f "$dir/settings" ] || continue
        name=$(basename "$dir")
        load_settings "$dir"
        if phone_runs "$dir"; then
            echo "$name running arch=$arch gic=$gic ram=$ram nvram=$nvram flash=$flash xen=$xen ssh=127.0.0.1:$(cat "$dir/run/port")"
        else
            echo "$name off arch=$arch gic=$gic ram=$ram nvram=$nvram flash=$flash xen=$xen"
        fi
    done
}
