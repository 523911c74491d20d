# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# What tests of saves and restores share: a phone of their own, sentences that hold or do not, questions to guests and to flicd.
#
# A test sources this, calls test_begin "$@" and test_phone, then makes checks, and ends with test_end. Environment:
#   FLIC_LAB_PATIENCE=N     multiplies every waiting time (3): for loaded machines
#   FLIC_LAB_UP="OPTIONS"   more options for the phone, e.g. --gic 2 or --debug-xen
#   FLIC_LAB_PHONE=NAME     a phone that is up already, and guests that live on it; they are left there, for the next test

LAB=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
TOP=$(cd "$LAB/../.." && pwd)
PATIENCE=${FLIC_LAB_PATIENCE:-3}
export FLIC_LAB_BOOT_LIMIT=${FLIC_LAB_BOOT_LIMIT:-$((120 * PATIENCE))}
PHONE='' MORE_PHONES=() CHECKS_PASSED=0 CHECKS_FAILED=0 CHECKS_ENDED=no
SCRATCH=$(mktemp -d)

test_begin() {
    local sentence
    sentence=$(sed -n '5s/^# //p' "$0")
    case ${1:-} in
        '') ;;
        -h | --help) echo "usage: $(basename "$0")   on a phone of its own: $sentence"; rm -rf "$SCRATCH"; exit 0 ;;
        *) echo "$(basename "$0"): unknown argument '$1'" >&2; rm -rf "$SCRATCH"; exit 2 ;;
    esac
    trap test_exit EXIT
    echo "# $sentence"
}

# test_phone NAME OPTIONS...: a fresh phone, removed at the end
test_phone() {
    local name=$1
    shift
    PHONE=${FLIC_LAB_PHONE:-$name}
    # shellcheck disable=SC2086  # options, one word each
    [ -n "${FLIC_LAB_PHONE:-}" ] || "$LAB/phone" up "$PHONE" --fresh "$@" ${FLIC_LAB_UP:-}
}

# A second phone of the test's own, removed with the first.
second_phone() {
    MORE_PHONES+=("$1")
    "$LAB/phone" up "$1" --fresh "${@:2}"
}

# The phone again after a cut, with other settings if given.
phone_again() { "$LAB/phone" up "$PHONE" "$@"; }

test_exit() {
    local rc=$?
    if [ "$CHECKS_ENDED" = no ]; then
        echo "not ok - the test runs to its end (it stopped with status $rc)"
        [ -z "$PHONE" ] || "$LAB/phone" exec "$PHONE" 'tail -n 15 /var/log/flicd.log' 2>/dev/null | sed 's/^/#   /' || true
        echo "$CHECKS_PASSED passed, $((CHECKS_FAILED + 1)) failed"
        [ $rc -ne 0 ] || rc=1
    fi
    if [ -n "$PHONE" ] && [ -z "${FLIC_LAB_PHONE:-}" ]; then MORE_PHONES+=("$PHONE"); fi
    for PHONE in "${MORE_PHONES[@]}"; do "$LAB/phone" rm "$PHONE" >/dev/null 2>&1 || true; done
    rm -rf "$SCRATCH"
    exit $rc
}

test_end() {
    CHECKS_ENDED=yes
    echo "$CHECKS_PASSED passed, $CHECKS_FAILED failed"
    [ "$CHECKS_FAILED" -eq 0 ]
}

# ---- sentences ----

# check SENTENCE COMMAND...: holds when the command succeeds; what it says is shown when it does not
check() {
    local sentence=$1 rc=0
    shift
    "$@" >"$SCRATCH/said" 2>&1 </dev/null || rc=$?
    if [ $rc -eq 0 ]; then
        CHECKS_PASSED=$((CHECKS_PASSED + 1))
        echo "ok - $sentence"
    else
        CHECKS_FAILED=$((CHECKS_FAILED + 1))
        echo "not ok - $sentence"
        { echo "status $rc"; tail -n 15 "$SCRATCH/said"; } | sed 's/^/#   /'
    fi
}

note() { echo "# $*"; }

# holds EXPRESSION: Python, over the JSON objects that are given as NAME=JSON words after it
holds() {
    python3 - "$@" <<'P'
import json, sys
names = {}
for word in sys.argv[2:]:
    name, _, value = word.partition("=")
    try:
        names[name] = json.loads(value)
    except ValueError:
        sys.exit(f"{name} is no JSON: {value[:300]}")
if not eval("(" + sys.argv[1] + ")", dict(names)):
    sys.exit("does not hold: " + sys.argv[1] + "\n" + "\n".join(f"{n} = {json.dumps(v)[:1500]}" for n, v in names.items()))
P
}

# member JSON NAME
member() { python3 -c 'import json,sys; print(json.loads(sys.argv[1])[sys.argv[2]])' "$1" "$2"; }

# The exit status that schema/errors.def gives to FLIC_E_NAME.
status_of() { sed -nE "s/^FLIC_ERROR\($1, *-[0-9]+, *([0-9]+),.*/\1/p" "$TOP/schema/errors.def"; }

# refused CODE WORDS COMMAND...: in Dom0 COMMAND fails with CODE's exit status (or that number), prints nothing, and says one sentence
# with WORDS in it
refused() {
    local code=$1 words=$2 wanted=$1 rc=0
    shift 2
    [[ $code =~ ^[0-9]+$ ]] || wanted=$(status_of "$code")
    [ -n "$wanted" ] || { echo "there is no error $code"; return 1; }
    "$LAB/phone" exec "$PHONE" "$*" >"$SCRATCH/out" 2>"$SCRATCH/stderr" </dev/null || rc=$?
    echo "said: $(cat "$SCRATCH/stderr")"
    # Without progress, and what libxl and its helper log before xl says how it ended.
    grep -vE '^(save|restore) [^ ]+: (live|suspend|publish|pages)|^libxl: ' "$SCRATCH/stderr" >"$SCRATCH/err" || true
    if grep -q '^xl ' "$SCRATCH/err"; then sed -i '/^flic: /d' "$SCRATCH/err"; fi
    [ $rc -eq "$wanted" ] || { echo "exit status $rc instead of $wanted; printed: $(cat "$SCRATCH/out")"; return 1; }
    [ ! -s "$SCRATCH/out" ] || { echo "printed: $(cat "$SCRATCH/out")"; return 1; }
    [ "$(wc -l <"$SCRATCH/err")" -eq 1 ] || { echo "that is not one line"; return 1; }
    grep -qE -- "$words" "$SCRATCH/err" || { echo "'$words' is not in it"; return 1; }
}

# ---- the phone ----

dom0() { "$LAB/phone" exec "$PHONE" "$1"; }

# eventually SECONDS COMMAND...: succeeds within that time (times patience)
eventually() {
    local end=$((SECONDS + $1 * PATIENCE))
    shift
    until "$@" >"$SCRATCH/try" 2>&1; do
        [ $SECONDS -lt $end ] || { cat "$SCRATCH/try"; return 1; }
        sleep 0.3
    done
}

# For good: a flicd that is started again would otherwise destage before it can be told to hold.
never_destage() { dom0 "grep -q ^destage /etc/flic/flicd.conf || echo 'destage = \"held\"' >>/etc/flic/flicd.conf; flic hold >/dev/null"; }
hold_destage() { dom0 'flic hold >/dev/null'; }
release_destage() { dom0 'flic release >/dev/null'; }
destaged() { dom0 "flic list --json" | python3 -c 'import json,sys; sys.exit(not all("flash" in c["places"] for c in json.load(sys.stdin)["checkpoints"]))'; }
checkpoints() { dom0 'flic list --json' | python3 -c 'import json,sys; print(*sorted("%s@%d" % (c["domain"], c["seq"]) for c in json.load(sys.stdin)["checkpoints"]))'; }
domains() { dom0 "xl list" | awk 'NR > 1 && $1 != "Domain-0" { print $1 }' | sort | tr '\n' ' '; }
idle() { dom0 'flic status --json' | python3 -c 'import json,sys; sys.exit(len(json.load(sys.stdin)["operations"]))'; }

# Domains, checkpoints, and whether flicd is at rest, asked at once: "domains: a b; checkpoints: a@1; at rest"
scene() {
    dom0 'xl list; flic list --json; flic status --json' | python3 -c '
import json, sys
lines = sys.stdin.read().splitlines()
objects = [json.loads(l) for l in lines if l.startswith("{")]
known = sorted("%s@%d" % (c["domain"], c["seq"]) for c in objects[0]["checkpoints"])
domains = sorted(l.split()[0] for l in lines if l and l[0] not in "{ " and l.split()[0] not in ("Name", "Domain-0"))
print("domains: %s; checkpoints: %s; %s" % (" ".join(domains), " ".join(known), "busy" if objects[1]["operations"] else "at rest"))'
}

# Copying ahead may take what it needs from here on: an emulator is slow, and the pace has its own tests.
copy_ahead_fast() {
    dom0 "printf '%s\\n' 'track_kib_per_s = 65536' 'track_cpu_percent = 90' >>/etc/flic/flicd.conf
          kill \$(pidof flicd); while pidof flicd >/dev/null; do sleep 0.2; done; start-flicd"
}

# tracked GUEST: its entry in status, or {}
tracked() {
    dom0 'flic status --json' | python3 -c '
import json, sys
print(json.dumps(next((t for t in json.load(sys.stdin)["tracked"] if t["domain"] == sys.argv[1]), {})))' "$1"
}

# ---- guests ----

# new_guest NAME WORKLOAD OPTIONS...
new_guest() {
    local name=$1 workload=$2
    shift 2
    if [ -n "${FLIC_LAB_PHONE:-}" ] && dom0 "xl domid $name" >/dev/null 2>&1; then return; fi
    "$LAB/phone" guest "$PHONE" "$name" --memory 256 --disk 160 --workload "$workload" --limit $((180 * PATIENCE)) "$@" >/dev/null
}

report() { "$LAB/phone" guest-status "$PHONE" "$1" --json 2>/dev/null || [ $? -ne 125 ]; }
counter() { member "$(report "$1")" seq; }
is_past() { [ "$(counter "$1")" -gt "$2" ]; }

# runs_on NAME: its counter moves, and its own checks hold
runs_on() {
    local at
    eventually 20 counter "$1" || { echo "$1 has not reported anything"; return 1; }
    at=$(counter "$1")
    eventually 20 is_past "$1" "$at" || { echo "the counter of $1 stands at $at"; return 1; }
    holds 'r["errors"] == 0 and r["time"] == "ok"' r="$(report "$1")"
}

# devices_go_on NAME: of a mixed guest, each part has done something since, and found no error
has_worked() {
    holds 'all(r[p] == "ok" and r[p + "_work"] > a[p + "_work"] for p in ("mem", "disk", "net", "db"))' r="$(report "$1")" a="$2"
}
devices_go_on() {
    local at
    at=$(report "$1")
    eventually 40 has_worked "$1" "$at"
}

# works NAME: memory, disk, network checked by the guest itself, right now
works() { "$LAB/phone" guest-verify "$PHONE" "$1"; }

# save NAME OPTIONS...: the figures, as JSON
save() {
    local name=$1
    shift
    dom0 "xl save --flic -q --json $* $name"
}
restore() {
    local what=$1
    shift
    dom0 "xl restore --flic -q --json $* $what"
}
destroy() { dom0 "xl destroy $1"; }
