# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
# shellcheck shell=bash
# What the shell tests of the commands share. Run from the build folder; $srcdir is the top of the source.

src=$(cd "${srcdir:-$(dirname "${BASH_SOURCE[0]}")/../..}" && pwd)
top=$PWD
export src top
work=$(mktemp -d)
fakes=()
failures=0

end_of_test() {
    local pid
    for pid in "${fakes[@]}"; do
        kill -- -"$pid" 2>/dev/null || kill "$pid" 2>/dev/null || true      # a fake with whom it forked for each connection
    done
    rm -rf "$work"
}
trap end_of_test EXIT

# run CMD...: its status, stdout and stderr in $status, $out, $err
run() {
    status=0
    timeout 20 "$@" >"$work/out" 2>"$work/err" </dev/null || status=$?
    out=$(cat "$work/out")
    err=$(cat "$work/err")
}

fail() {
    echo "  not so: $1" >&2
    printf '    status %s\n    stdout: %s\n    stderr: %s\n' "${status-}" "${out-}" "${err-}" >&2
    failures=$((failures + 1))
}

exits() { [ "$status" = "$1" ] || fail "the exit status is $1"; }
says() { [[ $out == *"$1"* ]] || fail "stdout says '$1'"; }
complains() { [[ $err == *"$1"* ]] || fail "stderr says '$1'"; }
is_silent() { [ -z "$out$err" ] || fail 'nothing is printed'; }
prints_json() { # EXPRESSION of python over the object j
    python3 - "$1" "$work/out" <<'PY' || fail "stdout is one JSON object with $1"
import json, sys
text = open(sys.argv[2], encoding="utf-8").read()
assert text.endswith("\n") and text.count("\n") == 1, "not one line"
j = json.loads(text)
assert eval(sys.argv[1]), j
PY
}

# fake SCRIPT: a new fake flicd; sets FLIC_SOCKET and $requests
fake() {
    local n=${#fakes[@]}
    FLIC_SOCKET=$work/s$n
    requests=$work/requests$n
    export FLIC_SOCKET
    printf '%s' "$1" >"$work/script$n"
    setsid "$src/tests/cli/fake-flicd" "$FLIC_SOCKET" "$work/script$n" "$requests" &
    fakes+=($!)
    for _ in $(seq 200); do
        [ -S "$FLIC_SOCKET" ] && return
        sleep 0.02
    done
    echo 'the fake flicd did not come up' >&2
    exit 99
}

was_asked() { # EXPRESSION of python over the list r of requests
    python3 - "$1" "$requests" <<'PY' || fail "flicd was asked: $1"
import json, sys
r = [json.loads(line) for line in open(sys.argv[2], encoding="utf-8")]
assert eval(sys.argv[1]), r
PY
}

it() { echo "- $1"; }

finish() {
    [ "$failures" = 0 ] && echo 'all so' && exit 0
    echo "$failures not so" >&2
    exit 1
}
