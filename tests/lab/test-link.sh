#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# two phones on one wire: ssh both ways, a rate, losses, the wire cut and mended, a phone cut and up again
#
# shellcheck disable=SC2016  # for Dom0's shell
set -euo pipefail
# shellcheck source=tests/lab/lib/assert.sh
. "$(dirname "$0")/lib/assert.sh"
test_begin "$@"

OTHER=link-b
other() { "$LAB/phone" exec "$OTHER" "$1"; }
link() { "$LAB/phone" link "$PHONE" "$OTHER" "$@"; }
says() { local wanted=$1 got; shift; got=$("$@"); echo "$got"; [ "$got" = "$wanted" ]; }
fails() { ! "$@"; }
now() { date +%s.%N; }

# send MIB [COMMAND]: random bytes go over, and are the same there
send() {
    dom0 "dd if=/dev/urandom of=/tmp/data bs=1M count=$1 status=none; sha256sum </tmp/data" >"$SCRATCH/here"
    dom0 "ssh $OTHER 'cat >/tmp/data' </tmp/data"
    other 'sha256sum </tmp/data' | cmp - "$SCRATCH/here"
}
# The second takes what one plain connection brings.
sink() {
    other 'setsid nc.openbsd -l -N 5001 </dev/null >/dev/null 2>&1 &'
    eventually 10 other 'ss -ltn | grep -q :5001'
}
# A figure of this machine: zeros, as plain TCP and through ssh.
speeds() {
    sink
    note "plain TCP $(dom0 "dd if=/dev/zero bs=1M count=64 2>&1 >/dev/tcp/$OTHER/5001" | sed -n 's/.*, //p')," \
        "ssh $(dom0 "dd if=/dev/zero bs=1M count=24 2>/tmp/dd | ssh $OTHER 'cat >/dev/null'; cat /tmp/dd" | sed -n 's/.*, //p')"
}

# For a while bytes flow as fast as they may: what passed, and in at least and at most how many seconds.
measure() {
    local began first last ended
    sink
    dom0 "cat /dev/zero >/dev/tcp/$OTHER/5001 2>/dev/null & echo \$! >/tmp/flood"
    eventually 20 flows 200000 "$(link stats)"
    began=$(now) before=$(link stats) first=$(now)
    eventually 60 flows 6000000 "$before"
    last=$(now) after=$(link stats) ended=$(now)
    dom0 'kill $(cat /tmp/flood)'
    most=$(python3 -c "print($ended - $began)") least=$(python3 -c "print($last - $first)")
}
flows() { holds 's["there"]["bytes"] - (b["there"]["bytes"] if b else 0) > n' s="$(link stats)" b="${2:-null}" n="$1"; }

ticks() { dom0 'wc -l </tmp/ticks'; }
ticks_past() { [ "$(ticks)" -gt "$1" ]; }
drops_past() { holds 'sum(s[w]["dropped"]["cut"] for w in ("there", "back")) > n' s="$(link stats)" n="$1"; }
passed() { python3 -c 'import json,sys; s=json.loads(sys.argv[1]); print(s["there"]["frames"], s["back"]["frames"])' "$(link stats)"; }

options=(--ram 1536 --nvram 64 --flash 512 --bootargs flic=off)
test_phone link-a "${options[@]}"
second_phone "$OTHER" "${options[@]}"
link
check 'the first reaches the second by its name' says "$OTHER" dom0 "ssh $OTHER hostname"
check 'and the second the first' says "$PHONE" other "ssh $PHONE hostname"
check 'the second reaches itself by its name' says "$OTHER" other "ssh $OTHER hostname"
check 'a packet of 16,000 bytes passes whole' dom0 "ping -q -c 1 -W 10 -M do -s 15972 $OTHER"
check 'the same call again changes nothing' link
before=$(link stats)
check 'a file arrives as it was' send 16
after=$(link stats)
check 'stats count what went there, and what came back' \
    holds '2**24 <= a["there"]["bytes"] - b["there"]["bytes"] < 2**25 and 0 < a["back"]["bytes"] - b["back"]["bytes"] < 2**23' a="$after" b="$before"
check 'nothing was lost on the way' holds 'all(a[w]["dropped"]["lost"] == 0 for w in ("there", "back"))' a="$after"
speeds

link rate 16
measure
# The bucket's 20 ms and one frame may come on top.
check 'with a rate no more passes' holds 'a["there"]["bytes"] - b["there"]["bytes"] <= 2e6 * t + 4e4 + 16e3' a="$after" b="$before" t="$most"
check 'and not much less' holds 'a["there"]["bytes"] - b["there"]["bytes"] >= 1e6 * t' a="$after" b="$before" t="$least"
link rate 0

link loss 10
check 'what is lost on the way is sent again' send 8
after=$(link stats)
check 'some was lost' holds 'sum(a[w]["dropped"]["lost"] for w in ("there", "back")) > 0' a="$after"
link loss 0

dom0 "ssh $OTHER 'while echo tick; do sleep 0.2; done' </dev/null >/tmp/ticks 2>/tmp/ticks.err & echo \$! >/tmp/ticks.pid"
check 'a connection is open' eventually 20 ticks_past 2
link cut
at=$(passed)
check 'the wire is cut: frames come to its end' eventually 20 drops_past 2
check 'and none passes' says "$at" passed
check 'the other does not answer' fails dom0 "ping -q -c 1 -W 1 $OTHER"
at=$(ticks)
check 'the open connection stands still' says "$at" ticks
link mend
check 'mended, it goes on where it was' eventually 60 ticks_past $((at + 5))
check 'in the same process, without a word' dom0 'kill $(cat /tmp/ticks.pid) && [ ! -s /tmp/ticks.err ]'

link rate 400
"$LAB/phone" cut "$OTHER"
check 'nobody answers for a phone that is cut' fails dom0 "ping -q -c 1 -W 1 $OTHER"
check 'its frames are counted as dropped' holds 's["first_up"] and not s["second_up"] and s["there"]["dropped"]["off"] > 0' s="$(link stats)"
"$LAB/phone" up "$OTHER"
check 'up again it has its address and name' says "$PHONE" other "ssh $PHONE hostname"
check 'and is reached by its own' says "$OTHER" dom0 "ssh $OTHER hostname"
check 'the rate is still what it was set to' holds 's["rate"] == 50000000' s="$(link stats)"
check 'a file arrives as it was' send 4

check 'a wrong rate is refused' fails link rate fast
check 'a phone that is not there is refused' fails "$LAB/phone" link "$PHONE" nobody
pid=$(cat "$LAB/.state/.links/$PHONE+$OTHER/wire.pid")
"$LAB/phone" unlink "$PHONE" "$OTHER"
check 'without the link the name means nothing' fails dom0 "ping -q -c 1 -W 1 $OTHER"
check 'and no wire is left' fails kill -0 "$pid"
check 'a link that is not there has no stats' fails link stats
test_end
