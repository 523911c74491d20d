#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# a second save costs what changed, not what there is; in the pause nothing is written to flash
set -euo pipefail
# shellcheck source=tests/lab/lib/assert.sh
. "$(dirname "$0")/lib/assert.sh"
test_begin "$@"

# The memory workload rewrites a buffer of 8 MiB in a 256 MiB guest, and each live round copies it anew. Beside it the kernel and the
# guest's own programs write some: so many pages more.
BESIDE=3072
# What goes into NVRAM beside pages: machine state, configuration, page map and delta; and onto flash: page map, pack footers.
PARTS=$((2 << 20))

written() { "$LAB/phone" flash "$PHONE" store stats | python3 -c 'import json,sys; print(json.load(sys.stdin)["written_bytes"])'; }
nvram_written() { member "$(member_json "$(dom0 'flic status --json')" nvram)" written_bytes; }
member_json() { python3 -c 'import json,sys; print(json.dumps(json.loads(sys.argv[1])[sys.argv[2]]))' "$1" "$2"; }
journal() { dom0 "flic log --json inc" | python3 -c '
import json, sys
saves = [e for e in json.load(sys.stdin)["entries"] if e["verb"] == "save" and e["seq"] == int(sys.argv[1])]
print(json.dumps(saves[0]["figures"] | {"code": saves[0]["code"]}))' "$1"; }

# measured_save: sets saved, flash (device bytes, settled), nvram (bytes the arena counted)
measured_save() {
    local flash_before nvram_before
    dom0 'sync -f /var/lib/flic'
    flash_before=$(written) nvram_before=$(nvram_written)
    saved=$(save inc)
    dom0 'sync -f /var/lib/flic'
    flash=$(($(written) - flash_before)) nvram=$(($(nvram_written) - nvram_before))
    note "save: $saved"
    note "device: $flash bytes to flash, $nvram bytes to NVRAM"
}

test_phone incremental --ram 2304 --nvram 512 --flash 2048
hold_destage
new_guest inc memory --vcpus 1

measured_save
first=$saved first_flash=$flash
check 'the first save puts most of the memory on flash' holds \
    's["new_pages"] + s["dedup_pages"] + s["zero_pages"] >= s["ram_pages"] * 0.9 and s["new_pages"] > 10000' s="$first"
restore inc >/dev/null
check 'the guest runs on' runs_on inc
sleep 10

measured_save
second=$saved second_flash=$flash
check 'the journal says what the command said' holds \
    'j["code"] == 0 and all(j[k] == s[k] for k in ("ws_pages", "new_pages", "dedup_pages", "nvram_bytes", "flash_bytes", "pause_us"))' \
    j="$(journal "$(member "$second" seq)")" s="$second"
check 'what is new is about what the workload rewrites, a small part of the memory' holds \
    "s['new_pages'] <= 2048 * s['rounds'] + $BESIDE and s['new_pages'] + s['ws_pages'] < s['ram_pages'] / 4" s="$second"
check 'what was there is found in the store, not written again' holds \
    "s['dedup_pages'] >= f['new_pages'] - f['ws_pages'] - 2048 * f['rounds'] - $BESIDE and s['dedup_pages'] > 2 * s['new_pages']" \
    s="$second" f="$first"
check 'flash gets the new pages and little more, counted by the device' holds \
    "$second_flash <= (s['new_pages'] * 4096 + $PARTS) * 1.1 and $second_flash < $first_flash / 2" s="$second"
check 'NVRAM gets the working set and little more, counted by the arena' holds \
    "s['ws_pages'] * 4096 <= $nvram <= s['ws_pages'] * 4096 + $PARTS and s['nvram_bytes'] <= $nvram" s="$second"
check 'the working set is a small part of the memory' holds 's["ws_pages"] * 8 < s["ram_pages"]' s="$second"
check 'in the pause the store wrote nothing to its flash' holds \
    'all(s["device_bytes_in_pause"] == 0 and s["flash_bytes_in_pause"] == 0 and s["spilled_pages"] == 0 for s in (f, t))' f="$first" t="$second"

restore inc >/dev/null
check 'the guest of the second save runs on' runs_on inc
checked=$(works inc) || true
check 'and its memory holds' holds 'v["ok"]' v="$checked"
destroy inc
release_destage
test_end
