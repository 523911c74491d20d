#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# too little NVRAM, no room on flash, no time, no second save: said clearly, and the guest runs on
set -euo pipefail
# shellcheck source=tests/lab/lib/assert.sh
. "$(dirname "$0")/lib/assert.sh"
test_begin "$@"

# All but so many MiB of the store's flash is taken.
fill_flash() { dom0 "rm -f /var/lib/flic/filler; free=\$((\$(stat -f -c '%a * %S' /var/lib/flic) / 1048576)); fallocate -l \$((free - $1))M /var/lib/flic/filler"; }
empty_flash() { dom0 'rm -f /var/lib/flic/filler'; }
# ended_so NAME CODE WORDS: that command, run aside, ended with CODE's exit status and one sentence
ended_so() { refused "$2" "$3" "cat /run/$1.err >&2; exit \$(cat /run/$1.status)"; }
survives() {
    check "$1: the guest runs on" runs_on "$2"
    check "$1: nothing is half saved, flicd is at rest" eval "idle && [ \"\$(checkpoints)\" = '$known' ]"
}

test_phone space --ram 2304 --nvram 128 --flash 1024 --bootargs flic=off
dom0 "sed -i 's/^nvram_size_mib.*/nvram_size_mib = 8/; \$a live_rounds_max = 1\nlive_stop_pages = 0\nsuspend_timeout_s = 5' /etc/flic/flicd.conf; start-flicd"
hold_destage
new_guest w memory --vcpus 1
known=$(checkpoints)

fill_flash 8
refused_for_room() { refused NOSPACE "/var/lib/flic|flash|store" xl save --flic w; }
check 'with flash full a save is refused, naming the place' refused_for_room
survives 'flash full' w
empty_flash

# Flash fills up while the live round runs: something else takes the room as soon as flicd has begun to write.
dom0 "rm -f /var/lib/flic/filler; (xl save --flic -q w >/run/w.out 2>/run/w.err; echo \$? >/run/w.status) </dev/null >/dev/null 2>&1 &
    until [ -s /run/w.status ] || flic status --json | grep -q '\"phase\":\"live\"'; do :; done
    fallocate -l \$((\$(stat -f -c '%a * %S' /var/lib/flic) / 1048576 - 4))M /var/lib/flic/filler
    until [ -s /run/w.status ]; do sleep 0.2; done"
check 'flash that fills up during the save ends it, with its status and one sentence' ended_so w NOSPACE '/var/lib/flic|flash|store'
survives 'flash filled up' w
empty_flash

check 'a save that takes longer than --timeout ends' refused TIMEOUT 'time' xl save --flic --timeout 1 w
survives 'timed out' w


# The second comes while the first is in its live round.
dom0 'rm -f /run/w.*; (xl save --flic -p -q w >/run/w.out 2>/run/w.err; echo $? >/run/w.status) </dev/null >/dev/null 2>&1 &
    until [ -s /run/w.status ] || flic status --json | grep -q "\"phase\":\"live\""; do :; done
    xl save --flic -q w >/run/second.out 2>/run/second.err; echo $? >/run/second.status
    until [ -s /run/w.status ]; do sleep 0.2; done'
check 'a second save of the same guest is refused while the first runs' ended_so second BUSY 'under way'
check 'the first is not disturbed by it' dom0 'cat /run/w.err; grep -qx 0 /run/w.status'
dom0 'xl unpause w'
known=$(checkpoints)
survives 'saved once' w
# Onto flash with it: what follows needs the little NVRAM there is.
release_destage
check 'it moves to flash' eventually 60 destaged
hold_destage

# A guest that does not answer, and one that answers too late.
dom0 'xl pause w'
check 'a guest that does not suspend in time is let be, with a status of its own' refused GUEST 'did not suspend within 5 s' xl save --flic w
dom0 'xl unpause w'
survives 'did not answer' w

# It takes up the request and is then held until the save has given up: then it suspends, with nobody waiting for it.
ended=$(dom0 "interrupt asked guest $((60 * PATIENCE)) w") || true
note "suspends late: $(tr '\n' '|' <<<"$ended")"
check 'a guest that takes up the request and stands still is given up on' test "${ended%%$'\n'*}" = "$(status_of GUEST)"
check 'when it suspends after that, flicd lets it go on' eventually 30 eval "dom0 'grep -a \"resumed .w., left suspended\" /var/log/flicd.log'"
survives 'suspended too late' w

# A guest that boots: it may not listen yet, or be in the middle of its devices.
booting() {
    local rc=0 saved
    saved=$(save b -p) || rc=$?
    echo "status $rc $saved"
    [ $rc -ne "$(status_of GUEST)" ] || return 0
    [ $rc -eq 0 ] && dom0 "flic forget b@$(member "$saved" seq) && xl unpause b"
}
"$LAB/phone" guest "$PHONE" b --memory 192 --disk 160 --workload disk --limit $((180 * PATIENCE)) >/dev/null
destroy b
dom0 'rm -f /var/log/xen/guest-b.log; xl create -q /guests/b.cfg' >/dev/null
for try in 1 2 3; do check "a save of a guest that boots succeeds or is given up, try $try" booting; done
check 'whichever it was, the guest comes up' dom0 "lab-guest wait b $((120 * PATIENCE))"
check 'its disk works' runs_on b
destroy b

# The workload dirties more than the 8 MiB arena has room for.
said=$(dom0 'xl save --flic w')
note "$said"
figures=$(dom0 'flic log --json w' | python3 -c 'import json,sys; print(json.dumps([e["figures"] for e in json.load(sys.stdin)["entries"] if e["verb"] == "save"][0]))')
note "$figures"
check 'a working set larger than NVRAM spills to flash, and the command says so' eval "[[ \$said == *'NVRAM was full'* ]]"
check 'the journal counts what spilled and what did not' holds \
    'f["spilled_pages"] > 0 and f["flash_bytes_in_pause"] > 0 and f["ws_pages"] > f["spilled_pages"]' f="$figures"
restore w >/dev/null
check 'such a checkpoint restores' runs_on w
answer=$(works w) || true
check 'and the guest is whole' holds 'v["ok"]' v="$answer"
test_end
