#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
# xl linked with a twin of libflicxl: arguments, progress, signals, exit statuses, and the stock xl.
set -euo pipefail
. "${srcdir:-$(dirname "$0")/../..}/tests/cli/lib.sh"
xl=$top/tests/cli/xl-on-fakes
unset FLIC_SOCKET
export FAKE_LOG=$work/log

# What xl starts to watch a domain: FLIC_LIBEXECDIR of the program under test is this folder.
cd "$work"
mkdir -p libexec
cat >libexec/flic-watch <<'SH'
#!/bin/sh
echo "watch $*" >>"$FAKE_LOG"
[ -e /proc/$$/fd/7 ] && echo 'descriptor 7 is open' >>"$FAKE_LOG"
exit 0
SH
chmod +x libexec/flic-watch
cat >stock <<'SH'
#!/bin/sh
printf 'stock'; for a in "$0" "$@"; do printf ' [%s]' "$a"; done; echo
exit 42
SH
chmod +x stock
export FLIC_STOCK_XL=$work/stock

got() { grep -qxF -- "$1" "$FAKE_LOG" || { fail "libflicxl got '$1'"; cat "$FAKE_LOG" >&2; }; }
got_in_time() {
    for _ in $(seq 200); do
        grep -qxF -- "$1" "$FAKE_LOG" && return
        sleep 0.02
    done
    got "$1"
}
forget_log() { : >"$FAKE_LOG"; }
forget_log

it 'what is not ours goes to the stock xl with every argument as it came, and its status comes back'
run "$xl" -vv create 'a b.cfg' 'extra="x --flic"' ''
exits 42
says 'stock [/'
says '[-vv] [create] [a b.cfg] [extra="x --flic"] []'
for args in '' 'list' 'save web file' 'restore file' 'migrate web host' 'list --flic' 'save web -- --flic' '--help'; do
    # shellcheck disable=SC2086
    run "$xl" $args
    exits 42
done

it 'the stock xl that is missing, or that is this very program, is said'
run env FLIC_STOCK_XL="$work/none" "$xl" list
exits 2
complains "$work/none"
ln -s "$xl" itself
run env FLIC_STOCK_XL="$work/itself" "$xl" list
exits 2
complains 'this one'
if ! ls /usr/lib/xen-*/bin/xl /usr/sbin/xl /usr/bin/xl /usr/local/sbin/xl >/dev/null 2>&1; then
    run env -u FLIC_STOCK_XL "$xl" list
    exits 8
    complains 'xen-utils'
fi

it 'save --flic saves, shows progress lines and a summary'
run "$xl" save --flic web
exits 0
got 'save domid=5 file=- after=0 timeout=0 ram_only=0'
complains 'save web: live'
says 'saved web@7: pause 41.2 ms, working set 24 MiB, 25 MiB to NVRAM, 1 MiB to flash, 1 MiB found in the store already'
[[ $err != *$'\r'* ]] || fail 'nothing is redrawn where there is no terminal'

it 'a saved guest is not watched'
grep -q '^watch' "$FAKE_LOG" && fail 'no flic-watch'

it 'its options reach libflicxl'
forget_log
run "$xl" -v save --flic --timeout 30 --ram-only -p web ref
exits 0
got 'save domid=5 file=ref after=1 timeout=30 ram_only=1'
says 'ref refers to it'

it 'a guest that stays there is watched, without descriptors of ours'
got_in_time 'watch 5'
grep -q 'descriptor' "$FAKE_LOG" && fail 'no descriptor is inherited'
forget_log
run "$xl" save --flic -p web 7>"$work/seven"
got_in_time 'watch 5'
grep -q 'descriptor' "$FAKE_LOG" && fail 'no descriptor is inherited'

it '--json is one object with the figures, and no summary'
run "$xl" save --flic --json web
exits 0
prints_json 'j["pause_us"] == 41250 and j["seq"] == 7 and j["domain"] == "web" and "domid" not in j'
run "$xl" restore --flic --json --quiet -e web
exits 0
prints_json 'j["total_us"] == 1200000 and j["domid"] == 9'

it '--quiet prints nothing'
run "$xl" save --flic --quiet web
exits 0
is_silent

it '-c leaves the guest running, says so, and has it watched'
forget_log
run "$xl" save --flic -c web
exits 0
got 'save domid=5 file=- after=2 timeout=0 ram_only=0'
says 'checkpoint web@7: pause 41.2 ms'
says 'the guest runs on'
got_in_time 'watch 5'

it '-c and -p at once are wrong usage'
run "$xl" save --flic -c -p web
exits 2
run "$xl" save --flic -pc web
exits 2

it 'migrate --flic reaches the host by the command given, and says what it cost'
forget_log
run "$xl" migrate --flic -s 'echo >&2 reached' --max-downtime 500 web phone2
exits 0
got 'migrate domid=5 peer=phone2 command=echo >&2 reached downtime=500 timeout=0'
complains 'reached phone2 xl migrate-receive --flic'
says 'migrated web to phone2: downtime 41.2 ms'
forget_log
run "$xl" migrate --flic -s true --auto-converge web phone2
exits 0
got 'migrate domid=5 peer=phone2 command=true downtime=0 timeout=0 converge'

it 'a guest that did not suspend for its migration is watched on, one of which nobody knows is not'
forget_log
run "$xl" migrate --flic -s true stuck phone2
exits 6
got_in_time 'watch 5'
forget_log
run "$xl" migrate --flic -s true unsure phone2
exits 1
complains 'stays suspended'
sleep 0.3
! grep -q watch "$FAKE_LOG" || fail 'nobody watches it'

it 'the receiver carries what the sender says, and has its own guest watched'
forget_log
echo 'from the sender' | timeout 20 "$xl" migrate-receive --flic >"$work/to-sender" 2>"$work/receiver-err" || fail 'it is received'
grep -qx 'heard: from the sender' "$work/to-sender" || fail 'both directions are carried'
got_in_time 'watch 9'

it 'a host that is no host is wrong usage'
for host in '-oProxyCommand=x' 'a;b' 'a b' "a'b"; do
    run "$xl" migrate --flic web "$host"
    exits 2
done

it 'a dry run is refused, not done in earnest'
forget_log
run "$xl" -N save --flic web
exits 2
[ ! -s "$FAKE_LOG" ] || fail 'libflicxl is not called'

it 'wrong usage is status 2'
for args in 'save --flic' 'save --flic a b c' 'save --flic --timeout 0 a' 'save --flic --timeout -5 a' \
    'save --flic --timeout 5x a' 'save --flic --timeout 99999999999999999999 a' 'save --flic --clone a' 'restore --flic' 'restore --flic a b' \
    'restore --flic -c a' 'migrate --flic' 'migrate --flic a' 'migrate --flic a b c' 'migrate --flic --max-downtime 5 a b' \
    'migrate-receive --flic a'; do
    # shellcheck disable=SC2086
    run "$xl" $args
    exits 2
done

it 'an unknown domain is status 3, no Xen is 8, a guest that does not suspend is 6'
run "$xl" save --flic gone
exits 3
complains "xl save: no domain 'gone' is running"
run env FAKE_NO_XEN=1 "$xl" save --flic web
exits 8
forget_log
run "$xl" save --flic stuck
exits 6
complains 'did not suspend'

it 'a guest that may have suspended in vain is watched'
got_in_time 'watch 5'

it 'a libxl that fails without words is reported with its number'
run "$xl" save --flic bare
exits 1
complains 'libxl failed with error -3'

it 'restore --flic restores, sums up, and has the guest watched'
forget_log
run "$xl" restore --flic --clone --ram-only -p --timeout 9 web@7
exits 0
got 'restore what=web@7 clone=1 ram_only=1 paused=1 timeout=9'
says "restored web@7 as its clone 'web', domain 9, paused: 1.2 s, 24 MiB from NVRAM, 3.91 MiB from flash"
got_in_time 'watch 9'

it 'a name that came with the checkpoint does not drive the terminal'
run "$xl" restore --flic evil
exits 0
says 'restored e?[2Jv??il@7 as domain 9'

it 'restore -e watches nothing'
forget_log
run "$xl" restore --flic -e web
exits 0
says 'restored web@7 as domain 9: 1.2 s'
grep -q '^watch' "$FAKE_LOG" && fail 'no flic-watch'

it 'restore -F becomes the watcher'
forget_log
run "$xl" restore --flic -F web
exits 0
got 'watch 9'

it 'a watcher that cannot be started is a failure that says what runs'
mv libexec/flic-watch libexec/off
run "$xl" restore --flic web
exits 1
complains 'flic-watch for domain 9'
mv libexec/off libexec/flic-watch

it 'a FILE of ours is restored without --flic'
forget_log
printf 'FLICREF1 and more' >ref
run "$xl" restore -e ref
exits 0
got 'restore what=ref clone=0 ram_only=0 paused=0 timeout=0'

it 'SIGINT, SIGTERM and SIGHUP cancel cleanly, status 9, however often they come'
for signal in INT TERM HUP; do
    python3 - "$xl" "$signal" <<'PY' || fail "SIG$signal cancels"
import signal, subprocess, sys
signal.signal(getattr(signal, "SIG" + sys.argv[2]), signal.SIG_DFL)     # whoever runs the tests may ignore it
p = subprocess.Popen([sys.argv[1], "save", "--flic", "slow"], stderr=subprocess.PIPE, text=True)
first = p.stderr.readline()
for _ in range(3):
    p.send_signal(getattr(signal, "SIG" + sys.argv[2]))
rest = p.stderr.read()
assert p.wait(timeout=20) == 9, p.returncode
assert "xl save: cancelled: the guest runs on" in rest, rest
PY
done

it 'a save that is past cancelling ends as it ends, also when asked again'
python3 - "$xl" <<'PY' || fail 'status 0'
import signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_DFL)
p = subprocess.Popen([sys.argv[1], "save", "--flic", "deaf"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
p.stderr.readline()
for _ in range(3):
    p.send_signal(signal.SIGINT)
    time.sleep(0.1)     # else the kernel makes one signal of them
out, _ = p.communicate(timeout=20)
assert p.returncode == 0 and "saved deaf@7" in out, (p.returncode, out)
PY

it 'under nohup a hangup changes nothing'
python3 - "$xl" <<'PY' || fail 'status 0'
import signal, subprocess, sys
signal.signal(signal.SIGHUP, signal.SIG_IGN)
p = subprocess.Popen([sys.argv[1], "save", "--flic", "slow-but-brief"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
p.stderr.readline()
p.send_signal(signal.SIGHUP)
p.communicate(timeout=20)
assert p.returncode == 0, p.returncode
PY

it 'on a terminal one line is redrawn, fits, and is taken away; Ctrl-C says cancelling'
run "$src/tests/cli/on-terminal" '' "$xl" save --flic web-with-a-very-long-name-that-would-not-fit-on-one-line-of-sixty
exits 0
says $'\rsave web-with'
says $'\r\e[K'
[ "$(tr '\r' '\n' <"$work/out" | sed 's/\x1b\[K//' | grep '^save web' | awk '{ if (length($0) > m) m = length($0) } END { print m }')" -lt 60 ] ||
    fail 'every drawn line is shorter than the terminal'
run "$src/tests/cli/on-terminal" '\x03' "$xl" save --flic slow
exits 9
says 'cancelled'

finish
