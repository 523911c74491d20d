#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# what cannot be done is refused in one sentence, with a documented status, before anything starts
set -euo pipefail
# shellcheck source=tests/lab/lib/assert.sh
. "$(dirname "$0")/lib/assert.sh"
test_begin "$@"

# nothing_started: no domain more or less than before, flicd at rest, the checkpoint still offered
nothing_started() {
    local now
    now=$(scene)
    [ "$now" = "$before" ] || { echo "$now"; echo "and before: $before"; return 1; }
}
# refusal SENTENCE CODE WORDS COMMAND...
refusal() {
    local sentence=$1
    shift
    check "$sentence" refused "$@"
    check "  and nothing has started, nothing is lost" nothing_started
}
# spoiled SENTENCE CODE WORDS WHERE...: a byte is wrong there for the time of one try; with restart=yes flicd comes up in between,
# because it keeps what it read from packs. Which pack matters: the first holds the guest's kernel, which is read from there; the
# newest may hold what was replaced later, or copies of pages that a restore takes from NVRAM
restart=no
spoiled() {
    local sentence=$1 code=$2 words=$3 places
    shift 3
    places=$(dom0 "spoil $*")
    note "spoil ${places%%$'\n'*}, $(wc -l <<<"$places") in all"
    [ "$restart" = no ] || { stop_flicd; dom0 start-flicd; }
    refusal "$sentence" "$code" "$words" "xl restore --flic ${what:-r}"
    dom0 "spoil $*" >/dev/null
}
# stranger LINES...: a domain 'u' that has never run, with these lines in its configuration
stranger() {
    dom0 "printf '%s\\n' 'name = \"u\"' 'kernel = \"${kernel:-/boot/vmlinuz}\"' 'memory = 64' $(printf '%q ' "$@") >/run/u.cfg; xl create -q -p /run/u.cfg" >/dev/null
    before=$(scene)
}
gone_stranger() { dom0 'xl destroy u'; before=$(scene); }
# shellcheck disable=SC2016  # for Dom0's shell
stop_flicd() { dom0 'kill "$(pidof flicd)"; for _ in $(seq 600); do pidof flicd >/dev/null || exit 0; sleep 0.1; done; exit 1'; }
# another_flicd LINES...: flicd with the phone's configuration, these keys changed
another_flicd() { dom0 "printf '%s\n' $(printf '%q ' "$@") >/run/other.conf; start-flicd -c /run/other.conf"; }
# flicd_refuses CODE WORDS LINES...: does not start with these keys
flicd_refuses() {
    local code=$1 words=$2
    shift 2
    dom0 "printf '%s\n' $(printf '%q ' "$@") >/run/other.conf"
    refused "$code" "$words" "timeout 60 flicd -c /run/other.conf"
}

test_phone refusals --ram 2304 --nvram 512 --flash 2048 --our-xen

never_destage
new_guest r disk --vcpus 1
before=$(scene)

refusal 'saving an unknown domain is refused' NODOMAIN "no domain 'nobody'" xl save --flic nobody
refusal 'saving Dom0 is refused' REFUSED 'domain 0' xl save --flic 0
refusal 'restoring an unknown guest is refused' NOCHECKPOINT nobody xl restore --flic nobody
refusal 'restoring a guest that was never saved is refused' NOCHECKPOINT "'?r'?" xl restore --flic r
refusal 'a FILE that exists and is not ours is not written over' REFUSED 'not a FLIC reference' xl save --flic r /etc/hostname
check 'it is as it was' dom0 'grep -q . /etc/hostname && ! grep -aq FLICREF /etc/hostname'
refusal 'a FILE in a folder that is not there is refused before the pause' 1 '/nowhere' xl save --flic r /nowhere/g
check 'the guest was not disturbed' runs_on r

stranger 'vuart = "sbsa_uart"'
refusal 'a guest with an emulated UART is refused' REFUSED 'vuart' xl save --flic u
gone_stranger
stranger 'iomem = [ "9010,1" ]'
refusal 'a guest with a device of this machine is refused' REFUSED 'passthrough' xl save --flic u
gone_stranger

saved=$(dom0 'xl save --flic -q --json -p r /guests/r.ref')
before=$(scene)
uuid=$(dom0 'flic list --json' | python3 -c 'import json,sys; print(json.load(sys.stdin)["checkpoints"][0]["uuid"])')
refusal 'restoring a guest that is alive is refused' ALIVE 'alive.*destroy it first$' xl restore --flic r
refusal 'and with --clone too, as both would write to its disk' ALIVE "alive.*destroy it.*/guests/r.img" xl restore --flic --clone r
refusal 'a number that does not exist is refused' NOCHECKPOINT '99' xl restore --flic r@99
stop_flicd
check 'without flicd a save is refused' refused NODAEMON 'flicd is not running' xl save --flic r
dom0 start-flicd
destroy r
before=$(scene)

# One page alone may be on flash too, and is then taken from there; all of them are not.
in_nvram=$(($(member "$saved" ws_pages) - $(member "$saved" ws_zero_pages) - $(member "$saved" spilled_pages)))
spoiled "a wrong byte in each page in NVRAM is found" DAMAGED 'r@.*gfn 0x.*NVRAM' nvram "$uuid" 1 first "$in_nvram"
spoiled 'one wrong byte of a record in NVRAM is found' DAMAGED 'r@.*NVRAM' nvram "$uuid" 1 last
restart=yes
spoiled 'one wrong byte in a pack is found' DAMAGED 'r@.*gfn 0x.*pack' at "\$(ls /var/lib/flic/packs/*.pack | head -n 1)" 4000
restart=no what=/guests/r.ref
spoiled 'a wrong byte at the start of FILE is found' 7 'r.ref' at /guests/r.ref 3
spoiled 'a wrong byte in the reference of FILE is found' DAMAGED 'r.ref.*damaged' at /guests/r.ref 50
spoiled 'a wrong byte in the configuration of FILE is found' DAMAGED 'r.ref.*damaged' at /guests/r.ref 200
for size in 0 7 60 96 300; do
    dom0 "head -c $size /guests/r.ref >/run/short.ref"
    refusal "a FILE cut off after $size bytes is refused" 7 'short.ref' xl restore --flic /run/short.ref
done
refusal 'a FILE that is not ours is refused' FOREIGN 'not a FLIC reference' xl restore --flic /etc/passwd
refusal 'a FILE that is not there is refused' 1 '/nowhere' xl restore --flic /nowhere/r.ref

dom0 'cp /guests/r.img /guests/other.img; mount --bind /guests/other.img /guests/r.img'
refusal 'another disk in the place of the saved one is refused' DISK 'another file.*--ram-only' xl restore --flic r
dom0 'umount /guests/r.img; rm /guests/other.img'

as_nobody='setpriv --reuid=65534 --regid=65534 --clear-groups'
refusal 'somebody without rights gets no answer from flicd' DENIED 'root' "$as_nobody" flic list
refusal 'nor may he restore' DENIED 'root' "$as_nobody" xl restore --flic r

stop_flicd
check 'without flicd a restore is refused' refused NODAEMON 'flicd is not running' xl restore --flic r
check 'without flicd a question is refused' refused NODAEMON 'flicd is not running' flic list
another_flicd 'nvram = "/nvram/none";' 'nvram_size_mib = 0;'
check 'NVRAM that is not there: refused, with what to do' refused NVRAM '/nvram/none.*nvram_size_mib' xl restore --flic r
stop_flicd
dom0 'truncate -s 64K /nvram/small'
another_flicd 'nvram = "/nvram/small";'
check 'NVRAM that is too small: refused, with what to do' refused NVRAM '/nvram/small.*the least is.*nvram_size_mib' xl restore --flic r
stop_flicd
dom0 'head -c 1M /dev/urandom >/nvram/foreign; cp /nvram/foreign /run/foreign'
another_flicd 'nvram = "/nvram/foreign";'
check 'NVRAM that holds something else: refused, with what to do' refused FOREIGN '/nvram/foreign.*another path' xl restore --flic r
# shellcheck disable=SC2016  # for Dom0's shell
check '  and left as it is' dom0 '[ "$(sha256sum </nvram/foreign)" = "$(sha256sum </run/foreign)" ]'
stop_flicd
dom0 'mkdir -p /run/store'
another_flicd 'store = "/run/store";'
check 'NVRAM of another store: refused' refused FOREIGN 'not to this store.*another path' xl restore --flic r
stop_flicd
check 'an unknown key in the configuration keeps flicd from starting' flicd_refuses CONFIG "other.conf:2: unknown key 'colour'" 'workers = 2;' 'colour = 1;'
check 'an impossible value does too' flicd_refuses CONFIG "workers = 99 is out of range" 'workers = 99;'
check 'and so does text for a number' flicd_refuses CONFIG 'workers takes a whole number' 'workers = "many";'
dom0 'rm -rf /nvram/small /nvram/foreign /run/store; start-flicd'
check 'after all that the checkpoint is offered' nothing_started

"$LAB/phone" down "$PHONE"
phone_again --gic 2
refusal 'a checkpoint of another GIC version is refused' MISMATCH 'r@.*GICv3.*GICv2' xl restore --flic r
"$LAB/phone" down "$PHONE"
phone_again --gic 3 --cpu cortex-a57
refusal 'a checkpoint of another CPU is refused' MISMATCH 'r@.*MIDR' xl restore --flic r
# A 32-bit kernel as far as Xen looks: magic number, from 0, so long. Only this CPU can run one.
dom0 'head -c 36 /dev/zero >/run/zimage; printf "\030\050\157\001\0\0\0\0\0\020\0\0" >>/run/zimage; truncate -s 4K /run/zimage'
kernel=/run/zimage stranger
refusal 'a 32-bit guest is refused' REFUSED '32-bit' xl save --flic u
gone_stranger
"$LAB/phone" down "$PHONE"
if [ "${FLIC_LAB_FULL:-no}" = yes ]; then
    phone_again --cpu cortex-a76,cntfrq=50000000
    refusal "a checkpoint of a machine with another counter frequency is refused" MISMATCH 'r@.*62500000 Hz.*50000000 Hz' xl restore --flic r
    "$LAB/phone" down "$PHONE"
fi
phone_again --cpu cortex-a76 --stock-xen
check 'on a stock hypervisor flicd says what is missing' eval "dom0 'flic status' | grep -q 'hypervisor/build'"
refusal 'and refuses to restore' NOXEN 'hypervisor/build' xl restore --flic r
stranger
refusal 'and to save' NOXEN 'hypervisor/build' xl save --flic u
"$LAB/phone" down "$PHONE"
phone_again --gic 3 --our-xen

restore r >/dev/null
check 'on its own machine the checkpoint restores' runs_on r
answer=$(works r) || true
check 'and the guest is whole' holds 'v["ok"]' v="$answer"
destroy r
before=$(scene)
refusal 'now that the guest has written to its disk, the old checkpoint is refused' DISK 'changed since the save.*--ram-only' xl restore --flic r
test_end
