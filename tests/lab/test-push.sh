#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# checkpoints go to another phone and back without a guest running, and their guest may be brought up on one of the two
#
# shellcheck disable=SC2016  # for Dom0's shell
set -euo pipefail
# shellcheck source=tests/lab/lib/assert.sh
. "$(dirname "$0")/lib/assert.sh"
test_begin "$@"

HERE=push-a THERE=push-b
on() { PHONE=$1 "${@:2}"; }
is_not_at() { ! PHONE=$1 dom0 'xl domid web' >/dev/null 2>&1; }
# copy PHONE VERB ARGUMENTS...: the answer
copy() { PHONE=$1 dom0 "flic ${*:2} -q --json 2>/tmp/copy.err || { cat /tmp/copy.err >&2; exit 1; }"; }
journal() { PHONE=$1 dom0 'flic log --json'; }
failed_with() { [ "$(dom0 'cat /tmp/p.rc')" = "$1" ] && dom0 "grep -q -- '$2' /tmp/p.err"; }

# In the background, until stderr shows that pages go out.
begin_push() {
    dom0 "rm -f /tmp/p.*; (setsid flic push $1 $THERE >/tmp/p.out 2>/tmp/p.err; echo \$? >/tmp/p.rc) </dev/null >/dev/null 2>&1 &"
    eventually 60 dom0 "grep -q '$1: send [1-9]' /tmp/p.err"
}
at_rest() {
    check "$1: both flicd are at rest" eventually 20 idle
    check "$1: the other one too" on "$THERE" eventually 20 idle
}

test_phone "$HERE" --ram 2048 --nvram 512 --flash 1024
HERE=$PHONE
second_phone "$THERE" --ram 2048 --nvram 512 --flash 1024
"$LAB/phone" link "$HERE" "$THERE"
"$LAB/phone" guest "$HERE" web --memory 192 --disk 0 --workload memory --limit $((180 * PATIENCE)) >/dev/null

save web >/dev/null
first=$(copy "$HERE" push web "$THERE")
note "first: $first"
check 'it is there, under a number of its own, and here' holds 'a == "web@1" and b == "web@1"' a="\"$(checkpoints)\"" b="\"$(on "$THERE" checkpoints)\""
check 'less than 0.6 of its memory went over the wire' holds \
    'f["figures"]["sent_bytes"] <= 0.6 * 4096 * (f["figures"]["ram_pages"] - f["figures"]["zero_pages"])' f="$first"
check 'no guest runs anywhere' holds 'd == ""' d="\"$(domains)$(on "$THERE" domains)\""
check 'both journals know' holds 'any(e["verb"] == "push" and not e["code"] for e in a["entries"]) and any(e["verb"] == "pushed" and not e["code"] for e in b["entries"])' a="$(journal "$HERE")" b="$(journal "$THERE")"
check 'it may not be brought up here any more' refused ALIVE "flic pull $THERE web" xl restore --flic web
again=$(copy "$HERE" push web "$THERE")
check 'the same again is the same checkpoint, and no page is sent' holds 'a["peer_seq"] == 1 and a["figures"]["sent_pages"] == 0' a="$again"
on "$THERE" restore web >/dev/null
check 'it is brought up there' on "$THERE" runs_on web

sleep 10
on "$THERE" save web -c >/dev/null
alive=$(copy "$HERE" pull "$THERE" web)
note "pulled while it runs there: $alive"
check 'a guest that runs there stays there' holds 'not a["handed"] and a["figures"]["same_pages"] > 0.7 * (a["figures"]["ram_pages"] - a["figures"]["zero_pages"])' a="$alive"
check 'what was pulled is a copy' refused ALIVE 'pushed to' xl restore --flic web
on "$THERE" save web >/dev/null
back=$(copy "$HERE" pull "$THERE" web)
note "back: $back"
check 'when it does not run there it is taken back' holds 'b["handed"] and b["figures"]["received_pages"] < 0.3 * b["figures"]["ram_pages"]' b="$back"
check 'then it may not be brought up there' on "$THERE" refused ALIVE 'was pushed to' xl restore --flic web
restore web >/dev/null
check 'but here, as it was there' runs_on web
check 'nothing of it runs there' is_not_at "$THERE"

"$LAB/phone" guest "$HERE" db --memory 192 --disk 0 --workload memory --seed 7 --limit $((180 * PATIENCE)) >/dev/null
save db -c >/dev/null
backup=$(copy "$HERE" push db "$THERE")
check 'of a guest that runs here a copy goes' holds 'not b["handed"]' b="$backup"
check 'which is not brought up there' on "$THERE" refused ALIVE "is $HERE's" xl restore --flic db
check 'claim says what it would risk' on "$THERE" dom0 'flic claim --dry-run db | grep -q "is a copy of"'
destroy db
on "$THERE" dom0 'flic claim db >/dev/null'
on "$THERE" restore db >/dev/null
check 'until its owner says that the other is gone' on "$THERE" runs_on db
on "$THERE" destroy db

"$LAB/phone" guest "$HERE" disky --memory 192 --disk 160 --workload idle --limit $((180 * PATIENCE)) >/dev/null
save disky >/dev/null
check 'a checkpoint with a disk is refused, the disk named' refused DISK 'xvda.*--ram-only' flic push -q disky "$THERE"
check 'its memory alone goes' copy "$HERE" push --ram-only disky "$THERE"
check 'and is not brought up there with whatever disk is there' on "$THERE" refused DISK "stayed on $HERE" xl restore --flic disky

destroy web
"$LAB/phone" guest "$HERE" mail --memory 256 --disk 0 --workload memory --seed 9 --limit $((180 * PATIENCE)) >/dev/null
save mail >/dev/null
"$LAB/phone" link "$HERE" "$THERE" rate 40
begin_push mail
"$LAB/phone" link "$HERE" "$THERE" cut
check 'the link is cut: that is said' eventually 40 failed_with 1 'lost\|silent\|peer'
"$LAB/phone" link "$HERE" "$THERE" mend
at_rest 'the link was cut'
check 'the link was cut: nothing of it is offered there' holds '"mail" not in b' b="\"$(on "$THERE" checkpoints)\""
begin_push mail
dom0 'pkill -INT -x flic'
check 'Ctrl-C cancels' eventually 20 failed_with 9 'cancelled'
at_rest 'cancelled'
"$LAB/phone" link "$HERE" "$THERE" rate 0
check 'flicd here is as it was: mail may be brought up here' holds 'm == []' m="$(dom0 'flic status --json' | python3 -c 'import json,sys; print(json.dumps([m for m in json.load(sys.stdin)["moves"] if m["domain"] == "mail"]))')"
on "$THERE" dom0 'kill -9 $(pidof flicd); start-flicd'
rest=$(copy "$HERE" push mail "$THERE")
note "after all that: $rest"
check 'what came before is not sent again, though flicd there was started anew' holds 'r["figures"]["there_pages"] > 0' r="$rest"
on "$THERE" restore mail >/dev/null
check 'and it is brought up there' on "$THERE" runs_on mail
test_end
