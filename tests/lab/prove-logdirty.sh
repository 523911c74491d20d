#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# Shows that log-dirty misses nothing, and that the check would notice if it did.
set -euo pipefail
TOP=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.." && pwd)
LAB=$TOP/tests/lab
# shellcheck source=scripts/lib/cache.sh
. "$TOP/scripts/lib/cache.sh"

usage() {
    cat <<'HELP'
usage: prove-logdirty.sh [options] PHONE
  PHONE is up, with our hypervisor. On a debug build (phone up --debug-xen) the negative controls run as well.
  An x86 phone (phone up --arch x86) has stock Xen's log-dirty; its controls leave out what the grant table adds: only-xen for the
  guest's disk, whose backend keeps mappings, only-xen-rings for what xenstored writes while the guest is paused.
  --short            20 epochs of two workloads, one control: for scripts/check
  --epochs N         of each workload (200)      --workloads "W ..."   (idle memory disk net db mixed)
  --controls "C ..." fault entry xenheap gva grant-taken grant-held xen-mapped; on x86 only-xen only-xen-rings; or none
  --memory MIB       of the guest (192)          --vcpus N             (2)
  --json FILE        the oracle's lines
Exit status: 0 nothing missed and every control noticed, 1 otherwise, 2 usage.
HELP
}

die() { echo "prove-logdirty: $*" >&2; exit 1; }

epochs=200 memory=192 vcpus=2 json='' phone=''
workloads='idle memory disk net db mixed'
controls=''
while [ $# -gt 0 ]; do
    case $1 in
        --short) epochs=20 workloads='memory mixed' controls='xen-mapped' ;;
        --epochs) epochs=${2:?}; shift ;;
        --workloads) workloads=${2:?}; shift ;;
        --controls) controls=${2:?}; shift ;;
        --memory) memory=${2:?}; shift ;;
        --vcpus) vcpus=${2:?}; shift ;;
        --json) json=$(realpath -m "${2:?}"); shift ;;
        -h | --help) usage; exit 0 ;;
        -*) usage >&2; exit 2 ;;
        *) [ -z "$phone" ] || { usage >&2; exit 2; }; phone=$1 ;;
    esac
    shift
done
[ -n "$phone" ] || { usage >&2; exit 2; }
arch=$("$LAB/phone" list | sed -n "s/^$phone running arch=\([^ ]*\).*/\1/p")
case ${controls:-all}/$arch in
    all/x86) controls='only-xen only-xen-rings' ;;
    all/*) controls='fault entry xenheap gva grant-taken grant-held xen-mapped' ;;
    none/*) controls='' ;;
esac

dom0() { "$LAB/phone" exec "$phone" -- "$1"; }

# What each control switches off (enum logdirty_source in asm/logdirty.h), under which load, and how it is looked for.
control_mask() {
    case $1 in
        fault) echo 1 ;; entry) echo 2 ;; xenheap) echo 4 ;; gva) echo 8 ;;
        grant-taken) echo 32 ;; grant-held) echo 64 ;; xen-mapped) echo 128 ;;
        *) die "there is no control '$1'" ;;
    esac
}
control_load() {
    # netback copies into its guest by a hypercall, which stock Xen's log-dirty reports; blkback keeps what it maps.
    case $1 in only-xen) echo disk ;; fault) echo memory ;; xenheap) echo disk ;; grant-taken) echo net ;; gva | entry) echo idle ;; *) echo any ;; esac
}
control_options() {
    case $1 in
        gva) echo --run 30 --drain 30 --epochs 400 ;;
        entry) echo --run 1500 --remap --epochs 12 ;;
        grant-held | xen-mapped) echo --run 100 --events --epochs 20 ;;
        only-xen) echo --only-xen --epochs 40 ;;
        only-xen-rings) echo --only-xen --events --run 100 --epochs 40 ;;
        *) echo --run 300 --epochs 20 ;;
    esac
}

build_tools() {
    [ "$arch" != x86 ] || return 0      # its image has them
    local sysroot=$FLIC_CACHE/lab/sysroot-arm64 out=$FLIC_CACHE/lab/judges
    "$TOP/scripts/sysroot" "$sysroot" >/dev/null
    # shellcheck source=/dev/null
    (. "$sysroot/env" && make -s -C "$LAB/tools" OUT="$out" "$out/logdirty-oracle" "$out/logdirty-calls") || die "the tools do not build"
    for tool in logdirty-oracle logdirty-calls; do "$LAB/phone" put "$phone" "$out/$tool" "/usr/local/bin/$tool"; done
}

drop_guest() { dom0 'xl destroy prove 2>/dev/null || true'; }

# A guest with this load; the one that is there, if it has it or any will do.
guest_load=''
want_guest() {
    if [ -n "$guest_load" ] && { [ "$1" = any ] || [ "$1" = "$guest_load" ]; }; then return; fi
    drop_guest
    guest_load=${1/any/idle}
    "$LAB/phone" guest "$phone" prove --memory "$memory" --vcpus "$vcpus" --workload "$guest_load" --limit 900 >/dev/null
}

# The guest gives back memory and takes it again, for as long as the file is there.
balloon() {
    dom0 "touch /run/balloon; d=\$(xl domid prove); n=/local/domain/\$d/memory/target; t=\$(xenstore-read \$n)
          (while [ -e /run/balloon ]; do xenstore-write \$n \$((t - 8192)); sleep 1; xenstore-write \$n \$t; sleep 1; done) \\
          </dev/null >/dev/null 2>&1 &"
}

failed=0
# oracle misses|holds LABEL OPTIONS...: one line of the result, and whether it is as it should be
oracle() {
    local should=$1 label=$2 line rc=0
    shift 2
    line=$(dom0 "logdirty-oracle --json --label $label $* \$(xl domid prove)") || rc=$?
    [ -n "$line" ] || die "$label: the oracle gave no result (exit status $rc)"
    [ -z "$json" ] || echo "$line" >>"$json"
    echo "$line" | python3 -c '
import json, sys
for line in sys.stdin:
    r = json.loads(line)
    good = (r["missed"] > 0) == (sys.argv[1] == "misses")
    print("%s %-12s omit %-3d epochs %4d changed %7d dirty %7d late %d events %d missed %d%s" % ("ok    " if good else "FAILED",
          r["label"], r["omit"], r["epochs"], r["changed"], r["dirty"], r["late"], r["events"], r["missed"],
          " " + str(r["missed_by_kind"]) if r["missed"] else ""))' "$should"
    [ $rc -eq 0 ] || failed=1
}

[ -z "$json" ] || : >"$json"
build_tools
drop_guest
trap 'dom0 "rm -f /run/balloon; xl destroy prove" >/dev/null 2>&1 || true' EXIT

free_before=$(dom0 'xl info free_memory')
for load in $workloads; do
    want_guest "$load"
    if [ "$load" = "${workloads%% *}" ] && [ "$arch" != x86 ]; then dom0 "logdirty-calls \$(xl domid prove)" || failed=1; fi
    # shellcheck disable=SC2046
    oracle holds "$load" --epochs "$epochs" --events $([ "$arch" = x86 ] || echo --spare-hot)
done

if [ -n "$controls" ] && [ "$arch" != x86 ] && ! dom0 'xenhypfs cat /params/logdirty-omit' >/dev/null 2>&1; then
    echo "skipped: no controls, this is no debug build of our hypervisor"
    controls=''
fi
for control in $controls; do
    want_guest "$(control_load "$control")"
    [ "$control" != entry ] || balloon
    case $control in only-xen*) mask=() ;; *) mask=(--omit "$(control_mask "$control")") ;; esac
    # shellcheck disable=SC2046
    oracle misses "$control" "${mask[@]}" $(control_options "$control")
    dom0 'rm -f /run/balloon'
done
drop_guest

# Everything that tracking took has come back. Xen's own heap varies by a few pages, hence the MiB of slack.
sleep 2
free_after=$(dom0 'xl info free_memory')
echo "free memory of the machine: $free_before MiB before, $free_after MiB after"
[ "$free_after" -ge $((free_before - 1)) ] || { echo "FAILED memory was not given back"; failed=1; }
exit $failed
