#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
# The units are clean under systemd-analyze verify, and harden as much as they did.
set -euo pipefail
. "${srcdir:-$(dirname "$0")/../..}/tests/cli/lib.sh"
command -v systemd-analyze >/dev/null || { echo 'systemd-analyze is not installed'; exit 77; }
[ -x "$top/daemon/flicd" ] || { echo 'flicd is not built'; exit 77; }
export SYSTEMD_LOG_LEVEL=warning

mkdir "$work/units"
# Installed nowhere yet: the built program stands in for the installed one, the manual is that of the source.
sed "s,^ExecStart=.*,ExecStart=$top/daemon/flicd," "$top/systemd/flicd.service" >"$work/units/flicd.service"
cp "$top/systemd/flicd.socket" "$work/units/"

it 'both units verify without a word'
mkdir -p "$work/man/man8" "$work/man/man5"
cp "$src"/docs/man/*.8 "$work/man/man8/"
cp "$src"/docs/man/*.5 "$work/man/man5/"
run env MANPATH="$work/man" systemd-analyze verify --recursive-errors=no "$work/units/flicd.service" "$work/units/flicd.socket"
exits 0
is_silent

it 'a broken unit would be seen'
sed 's/^Type=notify/Type=nonsense/' "$work/units/flicd.service" >"$work/units/broken.service"
run env MANPATH="$work/man" systemd-analyze verify --recursive-errors=no "$work/units/broken.service"
[ -n "$err" ] || fail 'verify complains'

it 'the program is where make install puts it, and a wrong configuration is not tried again'
grep -qE '^ExecStart=/.*/flicd$' "$top/systemd/flicd.service" || fail 'an absolute path'
grep -qE '@[a-z]+dir@' "$top/systemd/flicd.service" && fail 'nothing is left to substitute'
grep -qx 'RestartPreventExitStatus=2' "$top/systemd/flicd.service" || fail 'status 2 ends it'

it 'the exposure is no worse than it was (5.6 of 10; needs /dev/xen, root, hotplug scripts)'
run systemd-analyze security --offline=true --no-pager "$work/units/flicd.service"
level=$(sed -n 's/.*Overall exposure level for flicd.service: \([0-9.]*\).*/\1/p' "$work/out")
awk -v l="${level:-10}" 'BEGIN { exit !(l <= 5.6) }' || fail "exposure $level is at most 5.6"

finish
