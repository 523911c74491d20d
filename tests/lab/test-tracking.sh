#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# a guest tracked ahead is saved with little left to copy, comes back whole, and is tracked on; its write set is seen
set -euo pipefail
# shellcheck source=tests/lab/lib/assert.sh
. "$(dirname "$0")/lib/assert.sh"
test_begin "$@"

# tracked GUEST: its entry in status, or {}
tracked() {
    dom0 'flic status --json' | python3 -c '
import json, sys
print(json.dumps(next((t for t in json.load(sys.stdin)["tracked"] if t["domain"] == sys.argv[1]), {})))' "$1"
}
# What it leaves unwritten is on flash: hardly more than twice the write set and noise is unknown.
settled() {
    holds 't and t["state"] == "tracking" and t["epochs"] > 8 and t["pending_pages"] == 0 and
           t["unknown_pages"] < 2 * t["wss_pages"] + 1024 and t["unknown_pages"] < t["ram_pages"] / 4' t="$(tracked "$1")"
}
# The buffer of the memory workload in a guest of 256 MiB: 8 MiB, 2048 pages.
is_tracked() { holds 't and t["state"] == "tracking" and t["epochs"] > 0' t="$(tracked "$1")"; }
is_not_tracked() { holds 'not t' t="$(tracked "$1")"; }

test_phone tracking --ram 2304 --nvram 512 --flash 2048
# Copying may take what it needs here: an emulator is slow, and the pace has its own tests.
dom0 "printf '%s\\n' 'track_kib_per_s = 65536' 'track_cpu_percent = 90' >>/etc/flic/flicd.conf"
dom0 "kill \$(pidof flicd); while pidof flicd >/dev/null; do sleep 0.2; done; start-flicd"
hold_destage
new_guest web memory --vcpus 1

untracked=$(save web)
note "untracked: $untracked"
restore web >/dev/null
dom0 'flic track web'
check 'what it leaves unwritten reaches flash within a few minutes' eventually 100 settled web
note "tracked: $(tracked web)"
dom0 'flic wss web' | sed 's/^/# /'
check 'the write set is about the buffer that the workload rewrites' holds \
    '1500 <= t["wss_pages"] <= 2048 + 2048' t="$(tracked web)"
check 'what was copied was found on flash, where the first save had put it' holds \
    't["dedup_pages"] > 4 * t["new_pages"]' t="$(tracked web)"
check 'the guest runs on meanwhile' runs_on web

saved=$(save web)
note "tracked: $saved"
check 'its save copies a small part of what a save from nothing copies before the pause' holds \
    's["live_pages"] * 8 < u["live_pages"] and s["live_us"] * 2 < u["live_us"]' s="$saved" u="$untracked"
check 'and captures the write set and little more' holds 's["ws_pages"] < 3 * s["wss_pages"] + 2048' s="$saved"
check 'in the pause nothing is written to flash' holds 's["device_bytes_in_pause"] == 0 and s["spilled_pages"] == 0' s="$saved"
check 'a guest that is gone is no longer tracked' eventually 20 is_not_tracked web
restore web >/dev/null
check 'it comes back whole' runs_on web
checked=$(works web) || true
check 'and its memory holds' holds 'v["ok"]' v="$checked"
check 'and it is tracked again, under its new domid' eventually 30 is_tracked web

dom0 "kill -9 \$(pidof flicd); start-flicd"
check 'a flicd that was killed tracks it again' eventually 30 is_tracked web
check 'and trusts nothing from before' holds 't["started_over"] == 0 and t["copied_pages"] < t["ram_pages"]' t="$(tracked web)"
saved=$(save web)
note "after flicd was killed: $saved"
restore web >/dev/null
check 'a save right then is right' runs_on web
checked=$(works web) || true
check 'in every page that the guest checks' holds 'v["ok"]' v="$checked"
dom0 'flic untrack web'
check 'untracked it stays untracked' is_not_tracked web
test_end
