#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# flash that forgotten checkpoints took is given back, beside a save and across a power cut, and every checkpoint left comes back
#
# shellcheck disable=SC2016,SC2119  # sentences are evaluated by check
set -euo pipefail
# shellcheck source=tests/lab/lib/assert.sh
. "$(dirname "$0")/lib/assert.sh"
test_begin "$@"

packs() { dom0 'flic status --json' | python3 -c 'import json,sys; print(json.dumps(json.load(sys.stdin)["packs"]))'; }
in_the_middle() { dom0 'ls /var/lib/flic/packs' | grep -q '\.pack\.new$'; }
freed_nothing() { holds 'g["removed_bytes"] == 0 and g["flash_bytes"] == 0' g="$(dom0 'flic gc --json')"; }
# pause_beside_gc: a checkpoint of the running guest while gc runs again and again
pause_beside_gc() {
    dom0 '(while [ ! -e /tmp/enough ]; do flic gc --json >>/tmp/gcs; done) & xl save --flic -c -q --json web >/tmp/saved; rc=$?; touch /tmp/enough; wait
          cat /tmp/saved; exit $rc'
}
# comes_back SEQ: that checkpoint of the guest, which is not alive, and its memory as the guest checks it
comes_back() {
    restore "web@$1" >/dev/null || return 1
    runs_on web || return 1
    works web >"$SCRATCH/works" || { cat "$SCRATCH/works"; return 1; }
    holds 'v["ok"]' v="$(cat "$SCRATCH/works")" || return 1
    destroy web
}

test_phone gc --ram 2304 --nvram 512 --flash 2048
# By itself it shall not begin before the test says so.
dom0 "printf '%s\\n' 'gc = \"asked\"' 'destage_delay_ms = 0' >>/etc/flic/flicd.conf
      kill \$(pidof flicd); while pidof flicd >/dev/null; do sleep 0.2; done; start-flicd"
new_guest web memory --vcpus 1
for _ in 1 2 3 4 5; do
    save web -c >/dev/null
    sleep 3
done
check 'five checkpoints are there and on flash' eventually 120 destaged
before=$(packs)
note "packs before: $before"
dom0 'flic pin web@2 >/dev/null'
check 'a pinned one is refused' refused REFUSED 'is pinned' 'flic forget web@2'
for seq in 1 3 4; do dom0 "flic forget web@$seq >/dev/null"; done
dry=$(dom0 'flic gc --dry-run --json')
note "dry run: $dry"
check 'there is something to give back' holds 'd["removed_bytes"] > 0' d="$dry"

alone=$(save web -c)
beside=$(pause_beside_gc)
gcs=$(dom0 'cat /tmp/gcs')
note "the first gc beside it: $(head -1 <<<"$gcs")"
note "pause alone $(member "$alone" pause_us) us, beside gc $(member "$beside" pause_us) us"
check 'gc and a save run beside each other' holds 'b["ok"] if "ok" in b else b["pause_us"] > 0' b="$beside"
check 'no gc failed' eval '! grep -q "\"ok\":false" <<<"$gcs"'
# A pack that a save takes something up from stays until the gc after it.
gcs+=$'\n'$(dom0 'flic gc --json')
note "the gc after it: $(tail -1 <<<"$gcs")"
check 'what was forgotten is given back, then at the latest' eval 'grep -q "\"packs_removed\":[1-9]\|\"packs_compacted\":[1-9]" <<<"$gcs"'
check 'the guest runs on' runs_on web
check 'in the pause nothing was written to flash' holds 'b["device_bytes_in_pause"] == 0' b="$beside"

check 'all is on flash again' eventually 120 destaged
kept=$(checkpoints)
note "left: $kept"
# Slow enough to be met in the middle; it begins a second after something was forgotten.
dom0 "sed -i '/^gc = /d' /etc/flic/flicd.conf
      printf '%s\\n' 'gc_kib_per_s = 64' 'gc_interval_s = 1' 'gc_live_percent = 100' >>/etc/flic/flicd.conf
      kill \$(pidof flicd); while pidof flicd >/dev/null; do sleep 0.2; done; start-flicd"
dom0 'flic forget web@5 >/dev/null'
check 'by itself it begins when something was forgotten' eventually 60 in_the_middle
"$LAB/phone" cut "$PHONE" --lose-unflushed --seed 5 >/dev/null
phone_again
kept=${kept/web@5 /}
check 'after a power cut in the middle of it the others are there' eval 'echo "$(checkpoints)"; [ "$(checkpoints)" = "$kept" ]'
check 'and the forgotten ones are not' eval '! grep -qE "web@(1|3|4|5)( |\$)" <<<"$(checkpoints)"'
check 'everything that is stored reads well' holds 'v["bad_objects"] == 0 and v["checkpoints_damaged"] == 0' v="$(dom0 'flic verify --json')"
for one in $kept; do check "$one comes back" comes_back "${one#web@}"; done
note "gc after the cut: $(dom0 'flic gc --json')"
check 'the pinned one comes back after that' comes_back 2
check 'then there is nothing more to give back' freed_nothing
note "packs in the end: $(packs)"
test_end
