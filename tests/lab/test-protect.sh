#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# a protected guest survives power cuts at random moments: its last published checkpoint comes back whole, and how old it was
#
# shellcheck disable=SC2016,SC2034,SC2119  # sentences are evaluated by check
set -euo pipefail
# shellcheck source=tests/lab/lib/assert.sh
. "$(dirname "$0")/lib/assert.sh"
test_begin "$@"

# How many cuts (2; scripts/prove protect makes 20), and where the figures go, one JSON object a line.
CUTS=${FLIC_LAB_CUTS:-2} JSON=${FLIC_LAB_JSON:-/dev/null} EVERY_S=5
RANDOM=${FLIC_LAB_SEED:-11}
lost=0 mended=0 ages='' bounds=''

protection() { dom0 'flic status --json' | python3 -c 'import json,sys; print(json.dumps(json.load(sys.stdin)["protection"][0]))'; }
past() { holds 'p["last_seq"] > n' p="$(protection)" n="$1"; }
newest() { dom0 'flic list --json d' | python3 -c 'import json,sys; c=json.load(sys.stdin)["checkpoints"][0]; print(json.dumps(c))'; }
count() { dom0 'flic list --json d' | python3 -c 'import json,sys; print(len(json.load(sys.stdin)["checkpoints"]))'; }

# Of the published ones in the journal since the last restore: the longest time between two captures and from capture to
# published, in ms.
rhythm() {
    dom0 'flic list --json d; flic log --json -n 40 d' | python3 -c '
import json, sys
checkpoints, log = (json.loads(line) for line in sys.stdin)
since = max((int(e["began_ns"]) for e in log["entries"] if e["verb"] == "restore" and not e["code"]), default=0)
done = {e["seq"]: (int(e["began_ns"]) + e["took_us"] * 1000, e["figures"]) for e in log["entries"] if e["verb"] == "save" and not e["code"]
        and int(e["began_ns"]) > since}
to_publish, pauses, snaps = [], [], []
for c in checkpoints["checkpoints"]:
    if c["seq"] in done:
        to_publish.append((done[c["seq"]][0] - int(c["taken_ns"])) / 1e6)
ends = sorted(v[0] for v in done.values())
f = [v[1] for v in done.values()]
mid = lambda name: sorted(x[name] for x in f)[len(f) // 2] / 1e3 if f else 0
print(json.dumps({"to_publish_ms": max(to_publish, default=0), "gap_ms": max([(b - a) / 1e6 for a, b in zip(ends, ends[1:])], default=0),
                  "pause_ms": mid("pause_us"), "snapshot_ms": mid("snapshot_us"), "end_ms": mid("end_us"), "live_ms": mid("live_us"),
                  "snapshot_bytes": max((x["snapshot_bytes"] for x in f), default=0), "checkpoints": len(f)}))'
}

# The first checkpoint since the last restore: {} until there is one.
first_one() {
    dom0 'flic log --json -n 40 d' | python3 -c '
import json, sys
log = json.load(sys.stdin)["entries"]
since = max((int(e["began_ns"]) for e in log if e["verb"] == "restore" and not e["code"]), default=0)
saves = [e for e in log if e["verb"] == "save" and not e["code"] and int(e["began_ns"]) > since]
print(json.dumps(min(saves, key=lambda e: e["seq"])["figures"] if saves else {}))'
}

# one_cut K: the battery is pulled at a random moment; sets age and what it may be at most
one_cut() {
    local before at after r hands
    r=$(rhythm)
    sleep $((RANDOM % 20)).$((RANDOM % 10))
    before=$(dom0 'date +%s%N; flic status --json') || return 1
    "$LAB/phone" cut "$PHONE" --lose-unflushed --seed "$1" >/dev/null
    phone_again || return 1
    hands=$(dom0 'cat /run/lab-mended 2>/dev/null | wc -l') || return 1
    mended=$((mended + hands))
    at=${before%%$'\n'*}
    after=$(newest) || return 1
    holds 'a["seq"] >= b["protection"][0]["last_seq"]' a="$after" b="${before#*$'\n'}" || return 1
    age=$(python3 -c 'import sys; print(round((int(sys.argv[1]) - int(sys.argv[2])) / 1e6))' "$at" "$(member "$after" taken_ns)")
    bound=$(python3 -c 'import json,sys; r=json.loads(sys.argv[1]); print(round(max(r["gap_ms"], float(sys.argv[2]) * 1000) + r["to_publish_ms"]))' "$r" "$EVERY_S")
    note "cut $1: @$(member "$after" seq) comes back, ${age} ms old; at most ${bound} ms by the rhythm before: $r"
    restore d >/dev/null || return 1
    runs_on d || return 1
    works d >"$SCRATCH/works" || { cat "$SCRATCH/works"; return 1; }
    holds 'v["ok"] and v["db"] == "ok"' v="$(cat "$SCRATCH/works")"
}

test_phone protect --ram 2304 --nvram 512 --flash 2048
new_guest d db --vcpus 1

said=$(dom0 "flic protect d --every ${EVERY_S}s --keep 3")
note "$said"
check 'protect answers when the first checkpoint is there' eval '[[ $said == *"d@1 is there"* ]]'
check 'the guest runs on' runs_on d
check 'more follow' eventually 90 past 3
check 'the newest three are kept, and one under way may be the fourth' eval 'n=$(count); echo "$n"; [ "$n" -ge 3 ] && [ "$n" -le 4 ]'
check 'status shows its age' eval "dom0 'flic status' | grep -A2 '^protected' | grep -E '^  d +5 s +3 '"
dom0 'pkill -x flicd; while pgrep -x flicd >/dev/null; do sleep 0.1; done; start-flicd'
seq=$(member "$(protection)" last_seq)
check 'after a restart of flicd it goes on' eventually 90 past "$seq"
check 'the guest runs on' runs_on d

for ((k = 1; k <= CUTS; k++)); do
    age='' bound=''
    passed=$CHECKS_PASSED
    one_cut $k >"$SCRATCH/cut" 2>&1 </dev/null && rc=0 || rc=$?
    grep '^# cut' "$SCRATCH/cut" || true
    check "cut $k: the last published checkpoint comes back, its database intact" eval "cat '$SCRATCH/cut'; [ $rc = 0 ]"
    [ "$CHECKS_PASSED" -gt "$passed" ] || { lost=$((lost + 1)); dom0 'flic list; flic log -n 8' || true; continue; }
    check "cut $k: it was no older than the interval and what a checkpoint takes" test "$age" -le $((bound + 1500 * PATIENCE))
    ages="$ages $age" bounds="$bounds $bound"
    seq=$(member "$(newest)" seq)
    check "cut $k: it is protected again by itself" eventually 90 past "$seq"
    first=$(first_one)
    note "cut $k: the first checkpoint after the restore: $first"
    check "cut $k: for which little was copied while the guest ran" holds 'f["live_pages"] * 4 < f["ram_pages"]' f="$first"
done
note "the rhythm: $(rhythm)"
dom0 'flic unprotect d >/dev/null'
check 'unprotected, it is left alone' eval '[ "$(dom0 "flic status --json" | grep -c "\"protection\":\[\]")" = 1 ]'
check 'the guest runs on' runs_on d
python3 - "$lost" "$ages" "$bounds" "$mended" <<'P' | tee -a "$JSON"
import json, statistics, sys
ages, bounds = ([int(x) for x in s.split()] for s in sys.argv[2:4])
print(json.dumps({"name": "protect_cuts_lost", "unit": "restores", "value": int(sys.argv[1]), "runs": [int(sys.argv[1])]}))
print(json.dumps({"name": "protect_file_systems_mended", "unit": "by e2fsck -y", "value": int(sys.argv[4]), "runs": [int(sys.argv[4])]}))
print(json.dumps({"name": "protect_age", "unit": "ms", "value": statistics.median(ages) if ages else None, "runs": ages}))
print(json.dumps({"name": "protect_age_bound", "unit": "ms", "value": max(bounds) if bounds else None, "runs": bounds}))
P
test_end
