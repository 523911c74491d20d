#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
# flicd under systemd's protocols, on a machine without Xen: activation by socket, readiness, a clean stop.
set -euo pipefail
. "${srcdir:-$(dirname "$0")/../..}/tests/cli/lib.sh"
command -v systemd-socket-activate >/dev/null || { echo 'systemd-socket-activate is not installed'; exit 77; }
flicd=$top/daemon/flicd flic=$top/cli/flic
[ -x "$flicd" ] || { echo 'flicd is not built'; exit 77; }

cat >"$work/conf" <<CONF
nvram = "$work/arena"
nvram_size_mib = 16
store = "$work/store"
socket = "$work/own"
CONF

# notified FILE: listens on $work/notify as systemd would and appends each message as a line.
cat >"$work/notified" <<'PY'
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
while True:
    text = s.recv(4096).decode().replace("\n", " ")
    with open(sys.argv[2], "a", encoding="utf-8") as out:
        out.write(text + "\n")
PY
python3 "$work/notified" "$work/notify" "$work/states" &
fakes+=($!)

wait_for() { # SECONDS CMD...
    local n=$(($1 * 50))
    shift
    while ! "$@"; do
        n=$((n - 1))
        [ $n -gt 0 ] || return 1
        sleep 0.02
    done
}
wait_for 5 test -S "$work/notify" || { echo 'no notify socket' >&2; exit 99; }

# ended PID: waits for it, its status in $status
ended() {
    status=0
    wait "$1" 2>/dev/null || status=$?
}

it 'systemd holds the socket; the first question starts flicd, which answers on it'
: >"$work/states"
NOTIFY_SOCKET=$work/notify systemd-socket-activate -E NOTIFY_SOCKET -l "$work/activated" "$flicd" --config "$work/conf" 2>"$work/log" &
pid=$!
fakes+=("$pid")
wait_for 5 test -S "$work/activated" || fail 'the socket is there'
[ ! -d "$work/store" ] || fail 'nothing runs before the first question'
run "$flic" --socket "$work/activated" status --json
exits 0
prints_json 'j["ok"] and j["version"]'
[ ! -S "$work/own" ] || fail 'no second socket of its own'

it 'it says that it is ready, and what it cannot do'
wait_for 5 grep -q 'READY=1' "$work/states" || fail 'READY=1 was sent'
if [ ! -e /dev/xen/privcmd ] && [ ! -e /proc/xen/privcmd ]; then
    grep -q 'STATUS=up, but cannot save' "$work/states" || fail 'the status says so'
    prints_json 'j["host"]["ready"] is False and "xen" in j["host"]["missing"] and j["host"]["advice"]'
    grep -q 'does not run Xen' "$work/log" || fail 'the log says so'
fi

it 'SIGTERM stops it cleanly, with word of it, and leaves the socket of systemd alone'
kill -TERM "$pid"
ended "$pid"
exits 0
grep -q 'STOPPING=1' "$work/states" || fail 'STOPPING=1 was sent'
[ -S "$work/activated" ] || fail 'the socket is still there'

it 'it starts again on what it left'
NOTIFY_SOCKET=$work/notify "$flicd" --config "$work/conf" 2>"$work/log" &
pid=$!
fakes+=("$pid")
wait_for 10 test -S "$work/own" || fail 'without systemd it makes its own socket'
run "$flic" --socket "$work/own" status
exits 0

it 'a second flicd does not take the socket from the first'
sed "s,$work/arena,$work/arena2,; s,$work/store,$work/store2," "$work/conf" >"$work/conf2"
run "$flicd" --config "$work/conf2"
[ "$status" != 0 ] || fail 'it fails'
complains 'another flicd'
run "$flic" --socket "$work/own" status
exits 0

it 'killed, it leaves a socket that the next one replaces'
kill -KILL "$pid"
ended "$pid"
run "$flic" --socket "$work/own" status
exits 8
"$flicd" --config "$work/conf" 2>"$work/log" &
pid=$!
fakes+=("$pid")
# shellcheck disable=SC2317 # called by wait_for
answers() { "$flic" --socket "$work/own" status >/dev/null 2>&1; }
wait_for 10 answers || fail 'the new one answers'
kill -INT "$pid"
ended "$pid"
exits 0

it 'a wrong configuration names the file and the line, status 2'
while read -r line want; do
    printf 'nvram = "%s"\n%s\n' "$work/arena" "$line" >"$work/wrong"
    run "$flicd" --config "$work/wrong"
    exits 2
    complains "$work/wrong:2"
    complains "$want"
done <<'LINES'
colour="red" unknown
workers=0 range
workers=17 range
workers="4" whole
live_rounds_max=31 range
live_stop_pages=-1 range
suspend_timeout_s=4 range
destage="never" destage
destage_delay_ms=3600001 range
store="relative/path" absolute
store=5 quotes
nvram_size_mib=1.5 whole
= syntax
LINES

it 'a configuration that is named but missing is a failure'
run "$flicd" --config "$work/missing"
[ "$status" != 0 ] || fail 'it fails'
complains "$work/missing"

finish
