#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# a clone has a name, a uuid and addresses of its own, and lives beside its original
set -euo pipefail
# shellcheck source=tests/lab/lib/assert.sh
. "$(dirname "$0")/lib/assert.sh"
test_begin "$@"

uuid_of() { dom0 "xl list -v $1" | grep -oE '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}'; }
mac_of() { dom0 "xl network-list $1" | awk 'NR == 2 { print $3 }'; }
differ() { echo "$1 and $2"; [ -n "$1" ] && [ -n "$2" ] && [ "$1" != "$2" ]; }

test_phone clone --ram 2304 --nvram 512 --flash 2048
hold_destage
new_guest o memory --vcpus 2 --memory 192 --disk 0
save o -p >/dev/null
at=$(counter o)
check 'a guest that stays after its save carries no mark: who suspends it next is not undone' test -z "$(dom0 "xenstore-read /local/domain/\$(xl domid o)/flic/operation")"
dom0 'xl unpause o'
check 'the original goes on' eventually 60 is_past o "$((at + 1))"

check 'beside its original it is not restored without --clone, and the command says so' refused ALIVE 'restore beside it with --clone' xl restore --flic o
said=$(dom0 'xl restore --flic --clone o')
note "$said"
check 'a clone is restored beside it, and the command says its name' eval "[[ \$said == \"restored o as its clone 'o-clone', domain \"* ]]"
check 'both are there' test "$(domains)" = 'o o-clone '
check 'their uuids differ' differ "$(uuid_of o)" "$(uuid_of o-clone)"
check 'their network addresses differ' differ "$(mac_of o)" "$(mac_of o-clone)"
check 'the clone goes on from where its original was saved' eventually 60 is_past o-clone "$at"
check 'and its own checks hold' runs_on o-clone
check 'so do those of the original' runs_on o

check 'a second clone gets another name' eval "restore o --clone >/dev/null; [ \"\$(domains)\" = 'o o-clone o-clone2 ' ]"
check 'it runs' runs_on o-clone2
destroy o-clone2
saved=$(save o-clone)
check 'a clone is saved as a guest of its own, with numbers of its own' holds 's["domain"] == "o-clone" and s["seq"] == 1' s="$saved"
check 'what it shares with its original is not stored again' holds 's["new_pages"] < s["ram_pages"] / 4 and s["dedup_pages"] > s["new_pages"]' s="$saved"
check 'both checkpoints are there' eval "[[ \" \$(checkpoints) \" == *' o-clone@1 o@1 '* ]]"
restore o-clone >/dev/null
check 'and it comes back under its name' runs_on o-clone
check 'the original has not noticed' runs_on o
destroy o
restore o >/dev/null
check 'the original comes back beside its clone' runs_on o
destroy o
destroy o-clone
test_end
