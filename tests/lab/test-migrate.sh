#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# a guest goes to another phone and back, and stays where it is when the way, or the other phone, fails
#
# shellcheck disable=SC2016  # for Dom0's shell
set -euo pipefail
# shellcheck source=tests/lab/lib/assert.sh
. "$(dirname "$0")/lib/assert.sh"
test_begin "$@"

HERE=migrate-a THERE=migrate-b
DOWNTIME=$((20000 * PATIENCE))      # an emulator's link is slow

on() { PHONE=$1 "${@:2}"; }
# Its domain runs on this phone, neither suspended nor paused.
runs_at() { PHONE=$1 dom0 'xl list web' | awk 'END { exit !($5 !~ /[psd]/) }'; }
is_not_at() { ! PHONE=$1 dom0 'xl domid web' >/dev/null 2>&1; }
# migrate FROM TO OPTIONS...: the figures
migrate() { PHONE=$1 dom0 "xl migrate --flic -q --json --max-downtime $DOWNTIME ${*:3} web $2 2>/tmp/migrate.err || { cat /tmp/migrate.err >&2; exit 1; }"; }
fails_with() { local words=$1; shift; ! "$@" 2>"$SCRATCH/why" || return 1; cat "$SCRATCH/why"; grep -q -- "$words" "$SCRATCH/why"; }

# In the background, until stderr shows this phase.
begin_migration() {
    dom0 "rm -f /tmp/m.*; (setsid xl migrate --flic --max-downtime $DOWNTIME web $THERE >/tmp/m.out 2>/tmp/m.err; echo \$? >/tmp/m.rc) </dev/null >/dev/null 2>&1 &"
    eventually 60 dom0 "grep -q 'web: $1' /tmp/m.err"
}
ended() { dom0 'cat /tmp/m.rc'; }
ended_badly() { [ "$(ended)" != 0 ] && dom0 'cat /tmp/m.err' && dom0 "tail -n 3 /tmp/m.err | grep -q -- '$1'"; }

stays_here() {
    check "$1: it runs on here" on "$HERE" runs_on web
    check "$1: nothing of it is there" eventually 20 is_not_at "$THERE"
    check "$1: both flicd are at rest" eventually 20 idle
    check "$1: the other one too" on "$THERE" eventually 20 idle
}

test_phone "$HERE" --ram 2048 --nvram 512 --flash 1024
HERE=$PHONE
second_phone "$THERE" --ram 2048 --nvram 512 --flash 1024
"$LAB/phone" link "$HERE" "$THERE"
"$LAB/phone" guest "$HERE" web --memory 192 --disk 0 --workload memory --limit $((180 * PATIENCE)) >/dev/null

first=$(migrate "$HERE" "$THERE")
check 'it runs there' on "$THERE" runs_on web
check 'its domain here is gone' is_not_at "$HERE"
check 'both have its checkpoint' holds 'a and a == b' a="\"$(checkpoints)\"" b="\"$(on "$THERE" checkpoints)\""
note "first: $first"
check 'less than 0.6 of its memory went over the wire' holds 'f["sent_bytes"] <= 0.6 * 4096 * (f["ram_pages"] - f["zero_pages"])' f="$first"
check 'what is not pages is less than 1 % of it' holds 'f["sent_bytes"] + f["received_bytes"] - f["page_bytes"] <= 0.01 * f["page_bytes"]' f="$first"
check 'it is not restored here as long as it is there' refused ALIVE 'was migrated to' xl restore --flic web
check 'claim says what it would risk, and does nothing' dom0 'flic claim --dry-run web | grep -q "two of it"'

sleep 20
back=$(migrate "$THERE" "$HERE")
check 'it came back and runs' runs_on web
check 'its domain there is gone' is_not_at "$THERE"
note "back: $back"
check 'most of it was here already' holds 'b["there_pages"] >= 0.8 * (b["ram_pages"] - b["zero_pages"])' b="$back"
check 'what went over the wire is a fraction of the first time' holds 'b["sent_bytes"] <= 0.25 * f["sent_bytes"]' f="$first" b="$back"

check 'a host that is not there is said so' fails_with 'nowhere' migrate "$HERE" nowhere
stays_here 'no such host'
check 'a time limit ends it' fails_with 'time' migrate "$HERE" "$THERE" --timeout 2
stays_here 'a time limit'
"$LAB/phone" guest "$THERE" web --memory 192 --disk 0 --workload idle --limit $((180 * PATIENCE)) >/dev/null
check 'a name that is taken there is refused' fails_with 'is taken' migrate "$HERE" "$THERE"
check 'a name that is taken: it runs on here' runs_on web
on "$THERE" dom0 'xl destroy web'
"$LAB/phone" guest "$HERE" disky --memory 192 --disk 160 --workload idle --limit $((180 * PATIENCE)) >/dev/null
check 'a guest with a disk is refused, the disk named' refused DISK 'xvda' xl migrate --flic -q disky "$THERE"
dom0 'xl destroy disky'

# One row for each guest of a cap: its name, its number, weight and cap.
cap() { PHONE=$1 dom0 'xl sched-credit2 -d web' | awk '$1 == "web" { print $4 }'; }
is_slowed() { [ "$(cap "$1")" -gt 0 ]; }
is_as_fast_as_ever() { [ "$(cap "$1")" = 0 ]; }
check 'it writes too much for a pause of 50 ms: that is said, and what helps' fails_with '--auto-converge' migrate "$HERE" "$THERE" --max-downtime 50
stays_here 'too much'
dom0 "rm -f /tmp/m.*; (setsid xl migrate --flic --auto-converge --max-downtime 10 web $THERE >/tmp/m.out 2>/tmp/m.err; echo \$? >/tmp/m.rc) </dev/null >/dev/null 2>&1 &"
check 'it is slowed down if that is wished' eventually $((60 * PATIENCE)) is_slowed "$HERE"
dom0 'kill -9 $(pidof flicd); start-flicd'
check 'flicd is killed with the guest slowed down: the next one lets it run' eventually 20 is_as_fast_as_ever "$HERE"
stays_here 'flicd was killed with the guest slowed down'

begin_migration send
"$LAB/phone" link "$HERE" "$THERE" cut
check 'the link is cut while it is sent: that is said' eventually 40 ended_badly 'lost\|silent\|peer'
"$LAB/phone" link "$HERE" "$THERE" mend
stays_here 'the link was cut'

begin_migration send
on "$THERE" dom0 'pkill -9 -f "xl migrate-receive"'
check 'the receiving xl is killed: that is said' eventually 40 ended_badly 'lost\|away\|peer'
stays_here 'the receiving xl was killed'

begin_migration send
dom0 'pkill -9 -x xl'
stays_here 'the sending xl was killed'

begin_migration send
on "$THERE" dom0 'kill -9 $(pidof flicd); start-flicd'
check 'flicd there is killed: that is said' eventually 40 ended_badly 'lost\|peer'
stays_here 'flicd there was killed'

# Half of what the rest would have taken the first time, however fast this machine is.
again=$(migrate "$HERE" "$THERE" --auto-converge --max-downtime "$(python3 -c 'import json, sys; print(json.loads(sys.argv[1])["expected_downtime_us"] // 2000)' "$first")")
note "after all that: $again"
check 'half of the pause is enough for it, slowed down' holds 'a["slowed_percent"] > 0 and a["last_pages"] < f["last_pages"]' a="$again" f="$first"
check 'it runs as fast as ever there' is_as_fast_as_ever "$THERE"
check 'it goes there after all' on "$THERE" runs_on web
check 'and is not here' is_not_at "$HERE"
test_end
