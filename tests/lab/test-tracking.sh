#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# a guest tracked ahead is saved with little left to copy, comes back whole, and is tracked on; its write set is seen
set -euo pipefail
# shellcheck source=tests/lab/lib/assert.sh
. "$(dirname "$0")/lib/assert.sh"
test_begin "$@"

# What it leaves unwritten is on flash: hardly more than twice the write set and noise is unknown.
settled() {
    holds 't and t["state"] == "tracking" and t["epochs"] > 8 and
           t["unknown_pages"] < 2 * t["wss_pages"] + 1024 and t["unknown_pages"] < t["ram_pages"] / 4' t="$(tracked "$1")"
}
is_tracked() { holds 't and t["state"] == "tracking" and t["epochs"] > 0' t="$(tracked "$1")"; }
is_not_tracked() { holds 'not t' t="$(tracked "$1")"; }
flicd_memory() { note "flicd $1: $(dom0 "grep -E 'RssAnon|VmPTE' /proc/\$(pidof flicd)/status" | tr -s '\t\n ' ' ')"; }

test_phone tracking --ram 2304 --nvram 512 --flash 2048
copy_ahead_fast
hold_destage
new_guest web memory --vcpus 1
flicd_memory 'before it tracks'

# The buffer of the memory workload in a guest of 256 MiB is 8 MiB, 2048 pages.
dom0 'flic track web'
check 'what it leaves unwritten reaches flash within a few minutes' eventually 100 settled web
state=$(tracked web)
note "tracked: $state"
dom0 'flic wss web' | sed 's/^/# /'
flicd_memory 'tracking 256 MiB'
check 'the write set is about the buffer that the workload rewrites' holds '1500 <= t["wss_pages"] <= 2048 + 2048' t="$state"
check 'the guest runs on meanwhile' runs_on web
ahead=$(save web)
note "saved, tracked ahead: $ahead"
check 'a guest that is gone is no longer tracked' eventually 20 is_not_tracked web
restore web >/dev/null
check 'it comes back' runs_on web
checked=$(works web) || true
check 'and its memory holds' holds 'v["ok"]' v="$checked"
check 'and it is tracked again, under its new domid' eventually 30 is_tracked web
state=$(tracked web)
note "tracked since its restore: $state"
again=$(save web)
note "saved, known from its checkpoint: $again"
check 'from before it ran, so that what its checkpoint has on flash is known' holds 't["started_over"] == 0' t="$state"
restore web >/dev/null
check 'saved and restored once more it comes back' runs_on web
checked=$(works web) || true
check 'in every page that the guest checks' holds 'v["ok"]' v="$checked"

dom0 "kill -9 \$(pidof flicd); start-flicd"
check 'a flicd that was killed tracks it again' eventually 30 is_tracked web
nothing=$(save web)
note "saved, nothing known: $nothing"
check 'and trusts nothing from before' holds 'n["tracked_unknown_pages"] > n["ram_pages"] / 2 and n["live_pages"] > n["ram_pages"] / 2' n="$nothing"
restore web >/dev/null
check 'a save right then is right' runs_on web
checked=$(works web) || true
check 'in every page that the guest checks' holds 'v["ok"]' v="$checked"

check 'tracked ahead, a small part of that is copied before the pause' holds \
    'a["live_pages"] * 8 < n["live_pages"] and a["live_us"] * 4 < n["live_us"]' a="$ahead" n="$nothing"
check 'so is it by the first save after a restore' holds 'a["live_pages"] * 4 < n["live_pages"]' a="$again" n="$nothing"
check 'and what is captured is the write set and little more' holds 'a["ws_pages"] < 3 * a["wss_pages"] + 2048' a="$ahead"
check 'most of which was mapped before the pause' holds 'a["ahead_pages"] * 2 > a["ws_pages"] > 0' a="$ahead"
check 'in the pause nothing is written to flash' holds \
    'all(s["device_bytes_in_pause"] == 0 and s["spilled_pages"] == 0 for s in (a, n))' a="$ahead" n="$nothing"
dom0 'flic untrack web'
check 'untracked it stays untracked' is_not_tracked web
test_end
