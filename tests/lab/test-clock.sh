#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# the host's clock may go back between save and restore: the guest's time does not
set -euo pipefail
# shellcheck source=tests/lab/lib/assert.sh
. "$(dirname "$0")/lib/assert.sh"
test_begin "$@"

test_phone clock --ram 2304 --nvram 512 --flash 2048
new_guest m mixed --vcpus 2
before=$(report m)
save m >/dev/null
# shellcheck disable=SC2016  # for Dom0's shell
dom0 'date -s "@$(($(date +%s) - 86400))"' >/dev/null
restored=$(restore m)
note "restore: $restored"
check 'the checkpoint restores, and the journal knows that the clock went back' holds 'r["clock_went_back"] and r["elapsed_ms"] == 0' r="$restored"
check 'the guest goes on' eventually 60 is_past m "$(member "$before" seq)"
after=$(report m)
check "its monotonic clock and its counter did not go back, and it saw no step back in either" holds \
    'a["mono"] > b["mono"] and a["boot"] > b["boot"] and a["cntvct"] > b["cntvct"] and a["time"] == "ok"' a="$after" b="$before"
answer=$(works m) || true
note "$answer"
check 'it is whole' holds 'v["ok"]' v="$answer"
test_end
