# shellcheck shell=bash
# shellcheck disable=SC2034  # used by the other parts
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# What the lab's parts share. Sourced by tests/lab/phone.

LAB=$TOP/tests/lab
STATE=$LAB/.state
# shellcheck source=scripts/lib/cache.sh
. "$TOP/scripts/lib/cache.sh"
# shellcheck source=scripts/lib/apt.sh
. "$TOP/scripts/lib/apt.sh"

say() { echo "lab: $*" >&2; }
die() { echo "phone: $*" >&2; exit 1; }
usage_error() { echo "phone: $*; see 'phone --help'" >&2; exit 2; }

# Folders that hold what `phone build` made from this checkout.
BUILD=$STATE/.build

phone_dir() {
    [[ $1 =~ ^[a-z][a-z0-9-]{0,20}$ ]] || usage_error "'$1' is no phone name (a-z, 0-9, -; at most 21)"
    echo "$STATE/$1"
}

pid_alive() { [ -n "$1" ] && kill -0 "$1" 2>/dev/null; }
phone_pid() { cat "$1/run/qemu.pid" 2>/dev/null || true; }
phone_runs() { pid_alive "$(phone_pid "$1")"; }

wait_gone() {
    local pid=$1 seconds=$2 i
    for ((i = 0; i < seconds * 20; i++)); do
        pid_alive "$pid" || return 0
        sleep 0.05
    done
    return 1
}
