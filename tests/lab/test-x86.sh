#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# a PVH guest on a stock x86 Xen: saved, power cut, restored; and what stock xl does to a tracked one is noticed
#
# shellcheck disable=SC2016,SC2119  # for Dom0's shell; phone_again takes options if it wants
set -euo pipefail
# shellcheck source=tests/lab/lib/assert.sh
. "$(dirname "$0")/lib/assert.sh"
test_begin "$@"

settled() { holds 't and t["state"] == "tracking" and t["epochs"] > 4 and t["unknown_pages"] < t["ram_pages"] / 4' t="$(tracked p)"; }
stock_save() { dom0 '/usr/lib/xen-4*/bin/xl save -c p /var/lib/flic/stock.save && rm /var/lib/flic/stock.save'; }
# At once after stock xl has been there flicd may know of it or not: it saves from nothing, or says why not.
saves_or_says_why() {
    local rc=0
    saved=$(save p) || rc=$?
    [ $rc -eq 0 ] || { [ $rc -eq "$(status_of BUSY)" ] && eventually 60 settled && saved=$(save p); }
}

test_phone x86 --arch x86 --ram 2304 --nvram 512 --flash 2048
copy_ahead_fast
hold_destage
new_guest p mixed --vcpus 1
saved=$(save p)
note "save: $saved"
check 'in the pause the store wrote nothing to its flash' holds 's["device_bytes_in_pause"] == 0 and s["spilled_pages"] == 0' s="$saved"
"$LAB/phone" cut "$PHONE" --lose-unflushed --seed 3 >/dev/null
phone_again
hold_destage
restored=$(restore p)
note "restore: $restored"
check 'after a power cut the guest runs on' runs_on p
check 'memory, disk, network and database go on' devices_go_on p
answer=$(works p) || true
check 'its full self-check holds, network included' holds 'v["ok"] and abs(v["wall_skew_ms"]) <= 2000' v="$answer"

dom0 'flic track p'
check 'a tracked guest comes to rest: holes below 4 GiB are not looked at' eventually 100 settled
state=$(tracked p)
check 'what is unknown of it is a part of its memory' holds 't["unknown_pages"] < t["ram_pages"]' t="$state"
check 'stock xl saves it and lets it go on' stock_save
check 'a save right after that succeeds or says what is wrong' saves_or_says_why
note "save: $saved"
check 'nothing from before is trusted' holds 's.get("tracked_unknown_pages", 0) > s["ram_pages"] / 8 or s["live_pages"] > s["ram_pages"] / 2' s="$saved"
restore p >/dev/null
check 'it comes back' runs_on p
answer=$(works p) || true
check 'and is whole' holds 'v["ok"]' v="$answer"
test_end
