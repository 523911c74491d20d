#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# A phone from outside: it boots, takes commands and files, and its disks and NVRAM outlive a power cut.
set -euo pipefail
LAB=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/lab/lib/check.sh
. "$LAB/lib/check.sh"
phone=$LAB/phone
name=selftest-$$
scratch=$(mktemp -d)
trap '"$phone" rm "$name"; rm -rf "$scratch"' EXIT
limit=${FLIC_LAB_UP_SECONDS:-15}

dom0() { "$phone" exec "$name" -- "$@"; }
says() { local wanted=$1 got; shift; got=$("$@"); echo "$got"; [ "$got" = "$wanted" ]; }
output_of() { "$phone" exec "$name" "$1"; }
splits() {
    "$phone" exec "$name" 'echo out; echo err >&2; exit 3' >"$scratch/out" 2>"$scratch/err" || [ $? -eq 3 ]
    [ "$(cat "$scratch/out")" = out ] && [ "$(cat "$scratch/err")" = err ]
}
clock_agrees() {
    local there here
    there=$(dom0 date +%s) here=$(date +%s)
    echo "Dom0 $there, here $here"
    [ $((there - here)) -ge -3 ] && [ $((there - here)) -le 3 ]
}
up_quickly() {
    local start=$SECONDS
    "$phone" up "$name" "$@"
    echo "$((SECONDS - start)) s"
    [ $((SECONDS - start)) -le "$limit" ]
}
is_mounted() { dom0 grep -q "^[^ ]* $1 $2 [^ ]*$3" /proc/mounts; }
write_synced() {
    output_of 'dd if=/dev/urandom of=/var/lib/flic/kept bs=1M count=4 conv=fsync status=none
        dd if=/dev/urandom of=/nvram/kept bs=1M count=4 conv=fsync status=none
        dd if=/dev/urandom of=/guests/kept bs=1M count=4 conv=fsync status=none
        sha256sum /var/lib/flic/kept /nvram/kept /guests/kept' >"$scratch/sums"
}
# Past the page cache into a file that is there already: the data reaches the device, and nothing asks for a FLUSH until
# the file system's own commit seconds later. The cut comes before that.
write_unsynced() {
    output_of 'dd if=/dev/zero of=/var/lib/flic/new bs=1M count=8 conv=fsync status=none
        dd if=/dev/urandom of=/nvram/new bs=1M count=8 status=none
        sha256sum /nvram/new | sed s,/nvram,/var/lib/flic, ; sync; sleep 1' >"$scratch/lost"
    output_of 'dd if=/nvram/new of=/var/lib/flic/new bs=1M conv=notrunc oflag=direct status=none'
}
sums_hold() { "$phone" put "$name" "$scratch/sums" /tmp/sums && dom0 sha256sum -c --quiet /tmp/sums; }
new_data_is_damaged() {
    "$phone" put "$name" "$scratch/lost" /tmp/lost
    fails_with 1 dom0 sha256sum -c --quiet /tmp/lost
}
lost_something() { grep -Eq 'store .*"unflushed_blocks":[1-9]' "$scratch/cut" && grep -Eq '"(lost|torn)_blocks":[1-9]' "$scratch/cut"; }

echo "a phone with GICv3, for the first time: images may have to be made"
"$phone" up "$name" --nvram 64 --flash 1024
check 'Dom0 answers with the exit status of the command' fails_with 7 dom0 sh -c 'exit 7'
check 'arguments arrive as they are' says "a b|c'd" dom0 printf '%s|%s' 'a b' "c'd"
check 'output and error output stay apart' splits
check 'a file goes in and comes back the same' eval "head -c 3000000 /dev/urandom >$scratch/in; \"$phone\" put $name $scratch/in /tmp/x; \"$phone\" get $name /tmp/x $scratch/back; cmp $scratch/in $scratch/back"
check 'a file that is not there is an error' fails_with 1 "$phone" get "$name" /nowhere "$scratch/no"
check 'the stock xl works' dom0 xl info
check 'xenstore and the console daemon run' output_of 'pidof xenstored xenconsoled >/dev/null && xenstore-read domid'
check 'NVRAM can be mapped directly' says 1 dom0 cat /sys/block/pmem0/queue/dax
check 'and is mounted with DAX' is_mounted /nvram ext4 dax=always
check 'the store is on its own disk' is_mounted /var/lib/flic ext4 rw
check "guests' disks are on xfs" is_mounted /guests xfs rw
check "Dom0's clock is right" clock_agrees
check 'a second start of a running phone is refused' fails_naming 'running already' "$phone" up "$name"
check 'a wrong GIC version is refused' fails_with 2 "$phone" up other --gic 4

write_synced
"$phone" cut "$name"
check 'after a cut commands fail as the lab, not as the command' fails_with 125 dom0 true
check "it is up again within $limit s" up_quickly
check 'what was synced is there, on NVRAM and both disks' sums_hold

write_synced
write_unsynced
"$phone" cut "$name" --lose-unflushed --seed 5 >"$scratch/cut"
check 'the cut lost something that was not flushed' lost_something
"$phone" up "$name"
check 'what was flushed survived the loss' sums_hold
check 'what was not is damaged' new_data_is_damaged

check 'a flash write error reaches Dom0' eval "\"$phone\" flash $name store fail write 1000; fails_with 1 output_of 'dd if=/dev/zero of=/var/lib/flic/bad bs=4k count=1 oflag=direct status=none'"
"$phone" down "$name"
check 'after down the phone is off' grep -q "^$name off" <("$phone" list)
check 'another NVRAM size is refused for a phone that has one' fails_naming 'use .phone up --fresh' "$phone" up "$name" --nvram 128

echo "the same with GICv2"
"$phone" up "$name" --fresh --gic 2 --nvram 64 --flash 1024
check 'it boots with GICv2' output_of 'dmesg | grep -q GICv2m && xl info >/dev/null'
check 'a fresh phone has empty disks' says 0 output_of 'ls /nvram /guests /var/lib/flic | grep -c kept; true'
checks_end
