#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# a guest runs on after its checkpoint; after a power cut its RAM and its disk are of that one moment again
#
# shellcheck disable=SC2016,SC2034,SC2119  # sentences are evaluated by check
set -euo pipefail
# shellcheck source=tests/lab/lib/assert.sh
. "$(dirname "$0")/lib/assert.sh"
test_begin "$@"

kept() { dom0 "ls -A /guests/.flic 2>/dev/null | grep -c -- '${1:-.}' || true"; }
in_guest() { "$LAB/phone" guest-exec "$PHONE" m "$1"; }
watched() { dom0 "pgrep -f 'flic-watch $1\$'"; }

test_phone inplace --ram 2304 --nvram 512 --flash 2048
hold_destage
new_guest m mixed --vcpus 2 --memory 192
domid=$(dom0 'xl domid m')
at=$(report m)

figures=$(save m -c)
note "$figures"
check 'it runs on in the same domain' test "$(dom0 'xl domid m')" = "$domid"
check 'its counter moves and its own checks hold' runs_on m
check 'memory, disk, network and database go on' devices_go_on m
answer=$(works m) || true
check 'its full self-check holds, network included' holds 'v["ok"]' v="$answer"
check 'the checkpoint is offered' test "$(checkpoints)" = m@1
check 'its disk has a snapshot' test "$(kept)" = 1
check 'the pause wrote nothing to the store, what the snapshot wrote is a figure of its own' holds \
    'f["flash_bytes_in_pause"] == 0 and f["device_bytes_in_pause"] == 0 and f["snapshot_us"] > 0 and f["snapshot_us"] <= f["end_us"] <= f["pause_us"]' \
    f="$figures"
check 'somebody acts on its shutdown' watched "$domid"
check 'a second checkpoint at once works as well' eval 'save m -c >/dev/null && [ "$(checkpoints)" = "m@1 m@2" ]'
check 'and the guest runs on' runs_on m
check 'with its own snapshot' test "$(kept)" = 2
dom0 'flic forget m@2 >/dev/null'
check 'forget drops it' test "$(kept)" = 1

# What comes after the checkpoint is rolled back, on the disk as in memory.
in_guest 'echo later >/disk/later; sync'
later=$(report m)
note "at the checkpoint or before: $at"
note "later: $later"
"$LAB/phone" cut "$PHONE" --lose-unflushed --seed 5 >/dev/null
phone_again
check 'after the power cut it is still offered, with its snapshot' eval '[ "$(checkpoints)" = m@1 ] && [ "$(kept)" = 1 ]'
# A restore that fails leaves the disk as it was.
before=$(dom0 'stat -c %i /guests/m.img')
dom0 'mv /usr/libexec/flic/flic-save-helper /usr/libexec/flic/off'
check 'a restore without its helper fails' eval '! restore m'
dom0 'mv /usr/libexec/flic/off /usr/libexec/flic/flic-save-helper'
check 'the disk is the file it was, and nothing is left' eval '[ "$(dom0 "stat -c %i /guests/m.img")" = "$before" ] && [ "$(kept swap-)" = 0 ]'
restored=$(restore m)
note "$restored"
check 'the restored guest runs on' runs_on m
check 'memory, disk, network and database go on' devices_go_on m
answer=$(works m) || true
note "$answer"
check 'its own checks hold: every committed transaction is there, none twice' holds 'v["ok"]' v="$answer"
check 'what it wrote later is not there' eval '! in_guest "cat /disk/later"'
check 'the disk that was displaced is kept' test "$(kept swap-)" = 1
check 'a restore beside it is refused and leaves its disk' refused ALIVE 'alive' xl restore --flic m
check 'the guest runs on' runs_on m

# Again, from the same checkpoint: it can be put back as often as one likes.
destroy m
restore m >/dev/null
check 'the same checkpoint restores a second time' runs_on m
answer=$(works m) || true
check 'and the guest is whole' holds 'v["ok"]' v="$answer"
check 'both displaced disks are kept' test "$(kept swap-)" = 2
dom0 'flic forget m@1 >/dev/null'
check 'forget frees the snapshot and what it displaced' test "$(kept)" = 0
check 'the guest runs on' runs_on m
test_end
