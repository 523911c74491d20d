#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# a guest on a thin volume of LVM: checkpointed through the example hook, cut off, restored with its disk; and a pool that is full
#
# shellcheck disable=SC2016,SC2034,SC2119  # sentences are evaluated by check
set -euo pipefail
# shellcheck source=tests/lab/lib/assert.sh
. "$(dirname "$0")/lib/assert.sh"
test_begin "$@"

HOOK=/etc/flic/snapshot-hook OVERLAY=$SCRATCH/overlay

# A phone whose volume group is there before flicd starts. At the volume group's device the hook does what the example says; a test may
# put something of its own before it.
mkdir -p "$OVERLAY/etc/lab" "$OVERLAY/etc/flic"
cat >"$OVERLAY/etc/lab/rc.local" <<'E2'
#!/bin/bash
if [ -f /guests/.pool ]; then
    losetup /dev/loop7 /guests/.pool && vgchange -qq -ay guests
fi
start-flicd
E2
cat >"$OVERLAY$HOOK" <<'E2'
#!/bin/bash
PATH=/etc/flic/before:$PATH
[ ! -x "/etc/flic/before/$1" ] || "/etc/flic/before/$1" "$@"
exec /etc/flic/snapshot-hook-lvm-thin "$@"
E2
cp "$TOP/docs/examples/snapshot-hook-lvm-thin" "$OVERLAY/etc/flic/"
chmod 755 "$OVERLAY/etc/lab/rc.local" "$OVERLAY/etc/flic/"*

# Both for the phone that runs and for its next boots.
use_hook() {
    { cat "$LAB/dom0/flicd.conf"; echo "disk_snapshot_hook = \"$HOOK\""; } >"$OVERLAY/etc/flic/flicd.conf"
    "$LAB/phone" put "$PHONE" "$OVERLAY/etc/flic/flicd.conf" /etc/flic/flicd.conf
    dom0 'kill $(pidof flicd); while pidof flicd >/dev/null; do sleep 0.2; done; start-flicd'
}
before() { dom0 "mkdir -p /etc/flic/before; { echo '#!/bin/bash'; cat; } >/etc/flic/before/$1 <<'B'
$2
B
chmod 755 /etc/flic/before/$1"; }
nothing_before() { dom0 'rm -rf /etc/flic/before'; }

volumes() { dom0 "lvs --noheadings -o lv_name guests | tr -d ' ' | sed -E 's/^[0-9a-f-]+\.[0-9a-f-]+\.([0-9]+)\.d0/@\1/' | sort | tr '\n' ' '"; }
are() { local have; have=$(volumes); echo "there are: $have"; [ "$have" = "$1 " ]; }
notes() { dom0 'ls /var/lib/flic/*/hooked /var/lib/flic/hooked 2>/dev/null | grep -c "\.d0\$" || true'; }
# on_volume NAME COMMAND: in the file system of the one volume whose name ends so
on_volume() {
    dom0 "set -e; v=\$(lvs --noheadings -o lv_name guests | tr -d ' ' | grep -E '$1\$'); mkdir -p /tmp/look; mount /dev/guests/\$v /tmp/look
        rc=0; (cd /tmp/look; $2) || rc=\$?; umount /tmp/look; exit \$rc"
}
in_guest() { "$LAB/phone" guest-exec "$PHONE" m "$1"; }

test_phone lvm --ram 2304 --nvram 512 --flash 2048 --overlay "$OVERLAY"
# Every block of the guest's volume is its own from the start: with no snapshot beside it, it needs nothing of the pool. Another volume
# takes the rest but 16 MiB, and will want those as well.
dom0 'set -e; truncate -s 1100M /guests/.pool; losetup /dev/loop7 /guests/.pool
    vgcreate -qq guests /dev/loop7
    lvcreate -qq --config activation/error_when_full=1 --type thin-pool -L 448M --poolmetadatasize 4M -c 64k -Zn -n pool guests
    lvcreate -qq -V 160M --thinpool pool -n m guests
    lvcreate -qq -V 900M --thinpool pool -n other guests
    dd if=/dev/zero of=/dev/guests/m bs=1M count=160 2>/dev/null
    dd if=/dev/zero of=/dev/guests/other bs=1M count=272 2>/dev/null; sync' 2>"$SCRATCH/made" || cat "$SCRATCH/made"
check 'a pool and two volumes are there' are 'm other pool'
hold_destage
new_guest m mixed --vcpus 2 --memory 192
domid=$(dom0 'xl domid m')

check 'without a hook its disk is named, and what can be done' refused DISK "'m', disk xvda: '/dev/guests/m' is not a file .*disk_snapshot_hook" \
    xl save --flic -c m
check 'the guest runs on' runs_on m
use_hook
hold_destage

# ---- a full pool ----

before flush 'dd if=/dev/zero of=/dev/guests/other bs=1M seek=272 oflag=direct 2>/dev/null'
check 'a pool that fills up before the pause: the reason, the disk, and what can be done' \
    refused DISK "'m', disk xvda: .*take /dev/guests/m' failed: .*guests/pool.*lvextend.*flic forget" xl save --flic -c m
nothing_before
note "the pool: $(dom0 'lvs --noheadings -o data_percent,metadata_percent guests/pool')"
check 'the guest runs on in the same domain' eval '[ "$(dom0 "xl domid m")" = "$domid" ] && runs_on m'
check 'memory, disk, network and database go on' devices_go_on m
check 'a full pool is seen while the guest runs' refused DISK "'m', disk xvda: .*check /dev/guests/m' failed: .*guests/pool.*lvextend.*flic forget" xl save --flic -c m
check 'the guest runs on' runs_on m
check 'nothing is left behind' eval 'are "m other pool" && [ "$(notes)" = 0 ] && [ -z "$(checkpoints)" ] && idle'
answer=$(works m) || true
check 'its full self-check holds' holds 'v["ok"]' v="$answer"

# ---- a checkpoint ----

dom0 'lvextend -qq -L +320M guests/pool'
figures=$(save m -c) || true
note "$figures"
one=$(member "$figures" seq)
check 'extended, as was said, the pool takes a checkpoint' test "$(checkpoints)" = "m@$one"
dom0 'lvremove -qqy guests/other'
check 'it runs on in the same domain' eval '[ "$(dom0 "xl domid m")" = "$domid" ] && runs_on m'
check 'memory, disk, network and database go on' devices_go_on m
check 'its volume has a snapshot' are "@$one m pool"
check 'what the snapshot took of the pause is a figure of its own' holds '0 < f["snapshot_us"] <= f["end_us"] <= f["pause_us"]' f="$figures"
second=$(save m -c)
note "$second"
two=$(member "$second" seq)
check 'a second one has its own' are "@$one @$two m pool"
dom0 "flic forget m@$two >/dev/null"
check 'forget drops it' are "@$one m pool"

in_guest 'echo later >/disk/later; sync'
"$LAB/phone" cut "$PHONE" --lose-unflushed --seed 5 >/dev/null
phone_again
check 'after the power cut it is still offered, with its snapshot' eval '[ "$(checkpoints)" = "m@$one" ] && are "@$one m pool"'

# ---- a restore that the power goes away in ----

before lvrename 'case $3 in *.new) echo >/tmp/here; sleep 1000 ;; esac; exec /usr/sbin/lvrename "$@"'
dom0 '(setsid xl restore --flic m >/tmp/r.out 2>&1 </dev/null &)'
check 'a restore has set the disk aside and not yet put another in its place' eventually 60 dom0 '[ -e /tmp/here ]'
check 'there is no disk now' are "@$one @$one.new @$one.pending pool"
dom0 sync
"$LAB/phone" cut "$PHONE" --lose-unflushed --seed 6 >/dev/null
phone_again
check 'flicd has put it back at its start' are "@$one m pool"
check 'it is the one the guest wrote last' on_volume m 'grep -q later later'

# ---- a restore ----

restored=$(restore m)
note "$restored"
# LVM's own words about it are not older than what the restored guest writes.
"$LAB/phone" cut "$PHONE" --lose-unflushed --seed 7 >/dev/null
phone_again
check 'cut off right after a restore, the displaced volume is kept' are "@$one @$one.was-1 m pool"
check 'the displaced one has what was written last' on_volume was-1 'grep -q later later'
check 'the disk does not' on_volume m '[ ! -e later ]'
restored=$(restore m)
note "$restored"
check 'the restored guest runs on' runs_on m
check 'memory, disk, network and database go on' devices_go_on m
answer=$(works m) || true
note "$answer"
check 'its own checks hold: every committed transaction is there, none twice' holds 'v["ok"]' v="$answer"
check 'what it wrote later is not there' eval '! in_guest "cat /disk/later"'
check 'both displaced volumes are kept' are "@$one @$one.was-1 @$one.was-2 m pool"
again=$(save m -c)
note "$again"
check 'and it can be checkpointed again' runs_on m
for one in $(checkpoints); do dom0 "flic forget $one >/dev/null"; done
dom0 'grep -E "leftovers|hook" /var/log/flicd.log | tail -n 3' || true
check 'forget frees the snapshots and what was displaced' are 'm pool'
check 'and no note is left' test "$(notes)" = 0
check 'the guest runs on' runs_on m
test_end
