#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# a guest with a database on its disk goes to another phone and back with that disk, and stays whole where the way fails
#
# shellcheck disable=SC2016  # for Dom0's shell
set -euo pipefail
# shellcheck source=tests/lab/lib/assert.sh
. "$(dirname "$0")/lib/assert.sh"
test_begin "$@"

HERE=disk-a THERE=disk-b
DOWNTIME=$((20000 * PATIENCE))      # an emulator's link is slow
IMAGE=/guests/web.img

on() { PHONE=$1 "${@:2}"; }
is_not_at() { ! PHONE=$1 dom0 'xl domid web' >/dev/null 2>&1; }
# migrate FROM TO OPTIONS...: the figures
migrate() { PHONE=$1 dom0 "xl migrate --flic -q --json --max-downtime $DOWNTIME ${*:3} web $2 2>/tmp/migrate.err || { cat /tmp/migrate.err >&2; exit 1; }"; }
fails_with() { local words=$1; shift; ! "$@" 2>"$SCRATCH/why" || return 1; cat "$SCRATCH/why"; grep -q -- "$words" "$SCRATCH/why"; }
begin_migration() {
    dom0 "rm -f /tmp/m.*; (setsid xl migrate --flic --disks copy --max-downtime $DOWNTIME web $THERE >/tmp/m.out 2>/tmp/m.err; echo \$? >/tmp/m.rc) </dev/null >/dev/null 2>&1 &"
    eventually 60 dom0 "grep -q 'web: $1' /tmp/m.err"
}
ended_badly() { dom0 'rc=$(cat /tmp/m.rc) && tail -n 3 /tmp/m.err && [ "$rc" -ne 0 ]'; }

# The disk of the newest checkpoint on that phone: as it was in the pause.
newest_snapshot() { PHONE=$1 dom0 'ls -t /guests/.flic/*.d0 | head -n 1'; }
hash_of() { PHONE=$1 dom0 "sha256sum <$2"; }
same_disk() { [ "$(hash_of "$HERE" "$(newest_snapshot "$HERE")")" = "$(hash_of "$THERE" "$(newest_snapshot "$THERE")")" ]; }
# The database on it, after the file system's journal was replayed on a copy.
database_is_whole() {
    PHONE=$1 dom0 "set -e; cp --reflink $(newest_snapshot "$1") /guests/look.img; chmod 600 /guests/look.img; mkdir -p /tmp/look
        mount -o loop /guests/look.img /tmp/look
        sqlite3 /tmp/look/load.db 'PRAGMA integrity_check; SELECT sum(balance) = 1000000 FROM account' >/tmp/look.said || true
        umount /tmp/look; rm /guests/look.img; cat /tmp/look.said; [ \"\$(cat /tmp/look.said)\" = \"ok
1\" ]"
}
leftovers() { PHONE=$1 dom0 'ls -A /guests/.flic 2>/dev/null | grep -E "swap|new" || true'; }

stays_here() {
    check "$1: it runs on here" on "$HERE" runs_on web
    check "$1: nothing of it is there" eventually 80 is_not_at "$THERE"        # its ssh must notice
    check "$1: both flicd are at rest" eventually 20 idle
    check "$1: the other one too" on "$THERE" eventually 20 idle
    check "$1: nothing stands at its disk's path there" on "$THERE" dom0 "! [ -e $IMAGE ]"
}

test_phone "$HERE" --ram 2048 --nvram 512 --flash 1024
HERE=$PHONE
second_phone "$THERE" --ram 2048 --nvram 512 --flash 1024
"$LAB/phone" link "$HERE" "$THERE"
"$LAB/phone" guest "$HERE" web --memory 192 --disk 160 --workload db --limit $((180 * PATIENCE)) >/dev/null
dom0 'lab-guest exec web "dd if=/dev/urandom of=/disk/cold bs=1M count=24; sync"' >/dev/null

check 'without a word about its disk it is refused, and told what to say' fails_with 'say --disks copy' migrate "$HERE" "$THERE"
check 'a disk that is not there cannot be shared' fails_with 'is not reached from here' migrate "$HERE" "$THERE" --disks shared

first=$(migrate "$HERE" "$THERE" --disks copy)
note "first: $first"
check 'it runs there, with its database' on "$THERE" runs_on web
check 'its domain here is gone' is_not_at "$HERE"
check 'its disk here went with it' dom0 "! [ -e $IMAGE ]"
check 'the disk in the pause is the same on both sides' same_disk
check 'the database on it is whole' database_is_whole "$THERE"
check 'holes were not sent' holds 'f["disk_sent_bytes"] + f["disk_zero_bytes"] < 0.7 * f["disk_bytes"]' f="$first"
check 'its content was' holds 'f["disk_sent_bytes"] >= 24 << 20' f="$first"
check 'little of it in the pause' holds 'f["disk_last_bytes"] < 0.2 * f["disk_sent_bytes"]' f="$first"

sleep 20
back=$(migrate "$THERE" "$HERE" --disks copy)
note "back: $back"
check 'it came back and runs' runs_on web
check 'its domain there is gone' is_not_at "$THERE"
check 'its disk there went with it' on "$THERE" dom0 "! [ -e $IMAGE ]"
check 'the disk is the same on both sides again' same_disk
check 'the database on it is whole here' database_is_whole "$HERE"
check 'most of the disk was here already' holds 'b["disk_there_bytes"] >= 24 << 20' b="$back"
check 'what was sent of it is a fraction of the first time' holds 'b["disk_sent_bytes"] <= 0.3 * f["disk_sent_bytes"]' f="$first" b="$back"
check 'nothing half done is left' test -z "$(leftovers "$HERE")$(leftovers "$THERE")"

on "$THERE" dom0 "echo mine >$IMAGE"
check 'a stranger at its path there is not touched' fails_with 'not known as this guest' migrate "$HERE" "$THERE" --disks copy
check 'and is still there' on "$THERE" dom0 "[ \"\$(cat $IMAGE)\" = mine ]"
on "$THERE" dom0 "rm $IMAGE"
stays_here 'a stranger'

on "$THERE" dom0 'flic list --json | jq -r ".checkpoints[] | \"\(.domain)@\(.seq)\"" | while read -r c; do flic forget "$c" >/dev/null; done'
check 'with its checkpoints there forgotten, its disk there is' on "$THERE" dom0 '! ls /guests/.flic/*.d0'
on "$THERE" dom0 'fallocate -l $(($(stat -f -c "%a * %S" /guests) - (8 << 20))) /guests/full'
check 'a full file system there is said before anything is sent' fails_with 'needs' migrate "$HERE" "$THERE" --disks copy
on "$THERE" dom0 'rm /guests/full'
stays_here 'no room'

# Slow enough to be met while the disk is sent.
"$LAB/phone" link "$HERE" "$THERE" rate 6
begin_migration disk
"$LAB/phone" link "$HERE" "$THERE" cut
check 'the link is cut while its disk is sent: that is said' eventually 40 ended_badly
"$LAB/phone" link "$HERE" "$THERE" mend
stays_here 'the link was cut'

begin_migration disk
on "$THERE" dom0 'kill -9 $(pidof flicd); start-flicd'
check 'flicd there is killed while the disk comes: that is said' eventually 40 ended_badly
stays_here 'flicd there was killed'
"$LAB/phone" link "$HERE" "$THERE" rate 0
check 'nothing half done is left there' eventually 20 test -z "$(leftovers "$THERE")"

again=$(migrate "$HERE" "$THERE" --disks copy)
note "after all that: $again"
check 'it goes there after all' on "$THERE" runs_on web
check 'and is not here' is_not_at "$HERE"
check 'the disk is the same on both sides' same_disk
check 'the database is whole' database_is_whole "$THERE"
test_end
