#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# guests that libxc saves, on a stock x86 Xen: checkpointed, saved, power cut, restored; what cannot be done with them is said
#
# shellcheck disable=SC2119  # phone_again takes options if it wants
set -euo pipefail
# shellcheck source=tests/lab/lib/assert.sh
. "$(dirname "$0")/lib/assert.sh"
test_begin "$@"

no_guests() { [ -z "$(domains)" ]; }

# goes_and_comes_back GUEST WORDS: WORDS are what FLIC calls it
goes_and_comes_back() {
    local guest=$1 words=$2
    check "$words: it cannot be tracked, and that is said" refused REFUSED "$words" flic track "$guest"
    saved=$(save "$guest" -c) || true
    note "checkpoint: $saved"
    check "$words: it goes on after a checkpoint" runs_on "$guest"
    check "$words: its devices too" devices_go_on "$guest"
    saved=$(save "$guest") || true
    note "save: $saved"
    check "$words: all of its memory is in the checkpoint" holds 's["ram_pages"] > 256 * 256 * 0.9' s="$saved"
    check "$words: in the pause the store wrote nothing to its flash" holds 's["flash_bytes_in_pause"] == 0 and s["spilled_pages"] == 0' s="$saved"
    check "$words: it is gone" no_guests
    # With --lose-unflushed the guests' xfs itself does not come up again after this ("Metadata CRC error", rmap btree): not FLIC's to mend.
    "$LAB/phone" cut "$PHONE" >/dev/null
    phone_again
    hold_destage
    restored=$(restore "$guest") || true
    note "restore: $restored"
    check "$words: after a power cut the guest runs on" runs_on "$guest"
    check "$words: memory, disk, network and database go on" devices_go_on "$guest"
    answer=$(works "$guest") || true
    check "$words: its full self-check holds, network included" holds 'v["ok"] and abs(v["wall_skew_ms"]) <= 2000' v="$answer"
    saved=$(save "$guest") || true
    release_destage
    check "$words: saved again it goes to flash" eventually 60 destaged
    hold_destage
    restored=$(restore "$guest") || true
    check "$words: and comes back from there" runs_on "$guest"
    answer=$(works "$guest") || true
    check "$words: whole" holds 'v["ok"]' v="$answer"
    destroy "$guest"
}

test_phone x86f --arch x86 --ram 2304 --nvram 768 --flash 3072
hold_destage
new_guest p mixed --type pv
goes_and_comes_back p 'a PV guest'
new_guest h mixed --type hvm
goes_and_comes_back h 'an HVM guest'
test_end
