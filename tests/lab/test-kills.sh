#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# xl, helper or flicd killed at any moment of a save or a restore: the guest runs on, no checkpoint is harmed
set -euo pipefail
# shellcheck source=tests/lab/lib/assert.sh
. "$(dirname "$0")/lib/assert.sh"
test_begin "$@"

# interrupted MOMENT WHO [FILE]: prints xl's exit status (or "killed"), then what it said. flicd is there again afterwards, if it
# was among those killed.
interrupted() {
    dom0 "interrupt $1 $2 $((60 * PATIENCE)) m ${3:-}" || return 1
    case $2 in *flicd*) dom0 start-flicd ;; esac
}
ends_with() { echo "$ended"; [ "${ended%%$'\n'*}" = "$1" ] && tail -n +2 <<<"$ended" | grep -q -- "$2"; }

# guest_survives SENTENCE: m goes on, all its devices with it; nothing is half saved; flicd is at rest
guest_survives() {
    check "$1: the guest runs on" runs_on m
    check "$1: its disk, network and database go on" devices_go_on m
    check "$1: nothing is half saved" test "$(checkpoints)" = "$known"
    check "$1: flicd is at rest" eventually 20 idle
}

killed_save() {
    local moment=$1 who=$2 sentence=$3
    shift 3
    ended=$(interrupted "$moment" "$who" "$@") || { check "$sentence" false; return 0; }
    note "$sentence: $(tr '\n' '|' <<<"$ended")"
    guest_survives "$sentence"
}

no_domain() { [ -z "$(domains)" ] || { domains; return 1; }; }

killed_restore() {
    local who=$1 sentence=$2
    ended=$(interrupted filling "$who") || { check "$sentence" false; return 0; }
    note "$sentence: $(tr '\n' '|' <<<"$ended")"
    check "$sentence: no half domain stays" eventually 15 no_domain
    check "$sentence: the checkpoint is there" test "$(checkpoints)" = "$known"
    check "$sentence: flicd is at rest" eventually 20 idle
}

# The rest of the moments takes long: scripts/prove kills.
also() { if [ "${FLIC_LAB_FULL:-no}" = yes ]; then "$@"; fi; }

test_phone kills --ram 2304 --nvram 512 --flash 2048
dom0 'mountpoint -q /run/file || { truncate -s 16M /run/file.img && mke2fs -q -F /run/file.img && mkdir -p /run/file && mount -o loop /run/file.img /run/file; }'
new_guest m mixed --vcpus 2
known=$(checkpoints)

also killed_save live xl 'xl killed in the live rounds'
killed_save live helper 'the helper killed in the live rounds'
check 'xl says who went away' ends_with 1 helper
also killed_save live flicd 'flicd killed in the live rounds'
also check 'xl says so, with the status for a missing daemon' ends_with 8 flicd
killed_save live group 'Ctrl-C, to all of them, in the live rounds'
check 'xl ends as cancelled' ends_with 9 cancelled

also killed_save suspended xl 'xl killed while the guest is suspended'
also killed_save suspended helper 'the helper killed while the guest is suspended'
killed_save suspended flicd 'flicd killed while the guest is suspended'
killed_save suspended xl+flicd 'xl and flicd killed while the guest is suspended'
killed_save suspended group 'Ctrl-C, to all of them, while the guest is suspended'
check 'xl ends as cancelled' ends_with 9 cancelled

killed_save captured xl 'xl killed between captured and published' /run/file/g
also killed_save captured flicd 'flicd killed between captured and published' /run/file/g
check 'and no FILE is left' dom0 '[ ! -e /run/file/g ]'

hold_destage
save m >/dev/null
known=$(checkpoints)
killed_restore xl 'xl killed in a restore'
also killed_restore helper 'the helper killed in a restore'
killed_restore flicd 'flicd killed in a restore'
also killed_restore group 'Ctrl-C in a restore'
also check 'xl ends as cancelled' ends_with 9 cancelled
restore m >/dev/null
check 'after all that the checkpoint restores' runs_on m
answer=$(works m) || true
check 'and the guest is whole' holds 'v["ok"]' v="$answer"
test_end
