#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# a restored guest has the memory that was saved, page by page, and goes on from there
set -euo pipefail
# shellcheck source=tests/lab/lib/assert.sh
. "$(dirname "$0")/lib/assert.sh"
test_begin "$@"

# What a backend or Xen may write to while the guest stands still may differ: at most so many pages (a netfront offers 256).
EXEMPT_MAX=300

hash_pages() { dom0 "pagehash take \$(xl domid $1) /run/$2.hashes"; }
same_pages() { dom0 "pagehash compare --json /run/$1.hashes /run/$2.hashes"; }

# compared SENTENCE A B: no page differs, but for the kinds that must
compared() {
    local difference rc=0
    difference=$(same_pages "$2" "$3") || rc=$?
    note "$difference"
    check "$1" test $rc -eq 0
    check "at most $EXEMPT_MAX pages are exempt, and most are compared" holds \
        "d['differ']['total'] + d['only_before']['total'] + d['only_after']['total'] <= $EXEMPT_MAX and d['same'] > 60000" d="$difference"
}

test_phone identical --ram 2304 --nvram 512 --flash 2048
new_guest m mixed --vcpus 2
hold_destage

saved=$(save m -p)
before=$(report m)
note "save: $saved"
check 'the saved guest waits, paused' eval "dom0 'xl list m' | tail -n 1 | grep -q -- '--p'"
hash_pages m before >/dev/null
destroy m
restored=$(restore m -p)
note "restore: $restored"
hash_pages m after >/dev/null
compared 'every page of the restored guest is the one that was saved' before after
check 'the working set came from NVRAM, the rest from flash' holds \
    'r["nvram_pages"] >= s["ws_pages"] > 0 and r["flash_pages"] > 0 and r["ram_pages"] == s["ram_pages"]' r="$restored" s="$saved"

dom0 'xl unpause m'
check 'the guest goes on from where it was' eventually 60 is_past m "$(member "$before" seq)"
after=$(report m)
check "its clocks run on: never backwards, not by more than the time that passed" holds \
    'a["mono"] > b["mono"] and a["cntvct"] > b["cntvct"] and a["time"] == "ok" and a["mono"] - b["mono"] <= a["dom0_wall"] - b["dom0_wall"] + 5' \
    a="$after" b="$before"
checked=$(works m) || true
note "the guest checked itself: $checked"
check 'its memory, disk and database hold, and its network works' holds 'v["ok"]' v="$checked"
check 'its wall clock is right within two seconds' holds 'abs(v["wall_skew_ms"]) <= 2000' v="$checked"
test_end
