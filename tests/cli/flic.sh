#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
# flic against a scripted flicd: messages, JSON, exit statuses.
set -euo pipefail
. "${srcdir:-$(dirname "$0")/../..}/tests/cli/lib.sh"
flic=$top/cli/flic
export TZ=UTC

web='{"domain":"web","uuid":"8d0e40d6-07a4-4b9e-9c35-5b8f0d3d6a11","seq":7,"taken_ns":"1790000000000000000",
  "ram_bytes":536870912,"working_set_bytes":25165824,"places":["nvram","flash"],"restored":2}'
figures='{"pause_us":41250,"suspend_us":30000,"copy_us":9000,"ws_pages":6144,"dedup_pages":3072,"ram_pages":131072,
  "nvram_bytes":26214400,"flash_bytes":325058560,"flash_bytes_in_pause":0,"rounds":3,"clock_went_back":false}'
answers='{
"status":[{"ok":true,"protection":[{"domain":"web","uuid":"u","every_ms":5000,"keep":3,"state":"waiting","beats_left_out":1,"failures":0,
   "message":"a checkpoint takes longer","last_seq":8,"age_ms":3200}],"version":"0.1.0","host":{"xen":"4.20.2","arch":"arm64","ready":true,"missing":[],"advice":""},
  "nvram":{"path":"/nvram/flic.arena","kind":"dax-file","size_bytes":268435456,"used_bytes":26214400},
  "packs":{"path":"/var/lib/flic","count":12},"config":{"workers":4,"suspend_timeout_s":60},"destage":"idle",
  "operations":[{"operation":"abcdef0123456789abcdef0123456789","kind":"save","domain":"db","phase":"live",
    "done_bytes":104857600,"total_bytes":536870912},
    {"operation":"abc00000000000000000000000000000","kind":"restore","domain":"mail","phase":"pages"}]}],
"list":[{"ok":true,"checkpoints":['$web'],"tracked":[{"domain":"web","state":"tracking","ram_pages":131072,
  "unknown_pages":4096,"wss_pages":4352,"epoch_ms":1000,"flash_bytes":104857600},
  {"domain":"db","state":"waiting","why":"no memory"}]}],
"show":[{"ok":true,"checkpoint":'$web',"config":"{\"c_info\":{\"name\":\"web\"}}"}],
"log":[{"ok":true,"entries":[
  {"id":2,"began_ns":"1790000000000000000","took_us":2500000,"verb":"save","domain":"web","seq":7,"code":0,"message":"",
   "figures":'$figures'},
  {"id":1,"began_ns":"1780000000000000000","took_us":1000,"verb":"save","domain":"web","seq":6,"code":"FLIC_E_GUEST",
   "message":"the guest did not suspend within 60 s","figures":{}}]}],
"forget":[{"ok":true,"domain":"web","seq":7,"freed_bytes":3145728}],
"pin":[{"ok":true,"domain":"web","seq":7,"pinned":true}],
"verify":[{"ok":true,"packs":5,"packs_set_aside":1,"packs_unreadable":0,"objects":900,"bad_objects":16,"repaired_objects":3,"lost_objects":2,
  "read_bytes":8388608,"nvram_pages":300,"nvram_bad_pages":0,"damaged":[{"domain":"web","seq":6,"damage":"2 of its pages are lost, the first at gfn 0x264"}]}],
"fsck":[{"ok":true,"index_sound":false,"index_replaced":true,"index_rebuilt":true,"why":"it was removed","checkpoints":4,"checkpoints_damaged":0,
  "forgotten":9,"packs":12,"packs_quarantined":1,"missing":0,"stray":0}],
"drain":[{"ok":true,"moved":2,"flash_bytes":2097152,"left":[{"domain":"db","seq":3}]}],
"gc":[{"ok":true,"forgotten":[{"domain":"web","uuid":"u","seq":2}],"dry_run":false,"packs":9,"packs_removed":2,"packs_compacted":3,"packs_in_use":1,"packs_damaged":0,"removed_bytes":8388608,
  "flash_bytes":2097152,"freed_bytes":6291456,"took_us":1000}],
"track":[{"ok":true,"domain":"web","tracked":true,"guest":{"domain":"web","state":"tracking"}}],
"untrack":[{"ok":true,"domain":"web","tracked":false,"guest":{}}],
"wss":[{"ok":true,"domain":"web","guest":{},"samples":[
  {"at_ns":"1790000000000000000","epoch_ms":1000,"written_pages":10,"wss_pages":0,"stable_pages":0},
  {"at_ns":"1790000001000000000","epoch_ms":1000,"written_pages":10,"wss_pages":2048,"stable_pages":0},
  {"at_ns":"1790000002000000000","epoch_ms":2000,"written_pages":512,"wss_pages":4096,"stable_pages":1024}]}],
"protect":[{"ok":true,"domain":"web","uuid":"u","seq":8,"every_ms":120000,"keep":5}],
"unprotect":[{"ok":true,"domain":"web","uuid":"u","checkpoints_left":3}],
"give":[{"event":"ready","operation":"feed"},{"event":"progress","phase":"send","done":1048576,"total":536870912},{"_sleep":0.5},
  {"ok":true,"domain":"web","uuid":"u","seq":7,"peer":"phone2","peer_seq":3,"handed":true,
   "figures":{"ram_pages":131072,"there_pages":65536,"sent_bytes":104857600}}],
"get":[{"event":"ready","operation":"feed"},{"_sleep":0.5},{"ok":true,"domain":"web","uuid":"u","seq":4,"peer":"phone2","peer_seq":7,
   "handed":false,"was_there":false,"figures":{"ram_pages":131072,"same_pages":65536,"found_pages":0,"received_bytes":104857600}}],
"tunnel":[],
"hold":[{"ok":true,"held":true}],
"cancel":[{"ok":true}]}'

it 'without flicd every verb says how to start it, status 8'
for args in status list 'show web' log 'forget web@1' 'pin web@1' 'unpin web@1' gc verify fsck drain 'track web' 'untrack web' 'wss web' 'protect web' 'unprotect web' 'push web phone2' 'pull phone2 web' send receive hold release 'cancel abcd'; do
    # shellcheck disable=SC2086 # words on purpose
    run env FLIC_SOCKET="$work/none" "$flic" $args
    exits 8
    complains "flic ${args%% *}: flicd is not running"
    complains 'systemctl start flicd'
done

it 'a failure with --json is an object too'
run env FLIC_SOCKET="$work/none" "$flic" list --json
exits 8
prints_json 'j["ok"] is False and j["code"] == "FLIC_E_NODAEMON" and "systemctl" in j["error"]'

if [ "$(id -u)" = 0 ] && id nobody >/dev/null 2>&1; then
    it 'a socket that may not be opened is named, status 8'
    fake "$answers"
    chmod 711 "$work"
    chmod 600 "$FLIC_SOCKET"
    # the build folder may be closed to that user: a copy is not
    cp "$flic" "$work/flic" 2>/dev/null
    run setpriv --reuid=nobody --regid=nogroup --clear-groups "$work/flic" status
    exits 8
    complains "$FLIC_SOCKET may not be opened"
fi

it 'wrong usage is status 2 and points at --help'
for args in '' 'frobnicate' 'status web' 'list a b' 'forget' 'log --limit=x' 'log --limit=-1' 'status --dry-run' 'show @3 ' 'show web@0' 'push web' 'push web -x' 'pull phone2' 'push a b c' 'send x'; do
    # shellcheck disable=SC2086
    run "$flic" $args
    exits 2
    [ -n "$err" ] || fail 'it says what is wrong'
done

it 'every verb explains itself'
for verb in status list show log forget pin unpin gc verify fsck drain track untrack wss protect unprotect push pull send receive hold release cancel; do
    run "$flic" "$verb" --help
    exits 0
    says "Usage: flic $verb"
    says '--json'
done

fake "$answers"

it 'status shows what is there and what goes on'
run "$flic" status
exits 0
says 'flicd 0.1.0'
says 'xen      4.20.2'
says '256 MiB'
says '100 MiB of 512 MiB'
was_asked 'r == [{"op": "status"}]'

printf '#!/bin/sh\necho "$*" >%s/line\n' "$work" >"$work/reach"
chmod +x "$work/reach"

it 'push asks flicd, gives its tunnel to what reaches the peer, and says where the guest may be brought up'
run "$flic" push -s "$work/reach" web@7 phone2
exits 0
says 'pushed web@7 to phone2, as its @3: 100 MiB sent for 512 MiB of memory, 256 MiB was there already'
says "it may be brought up there now, and no longer here; 'flic pull phone2 web' takes it back"
complains 'push web@7: send 1 MiB of 512 MiB'
was_asked '{"op": "give", "domain": "web", "seq": 7, "peer": "phone2", "backup": False, "ram_only": False} in r'
was_asked '{"op": "tunnel", "operation": "feed"} in r'
[ "$(cat "$work/line")" = 'phone2 flic receive' ] || fail "the other end is started, not '$(cat "$work/line")'"

it 'pull is the same from the other side'
run "$flic" pull --backup --ram-only -q -s "$work/reach" phone2 web
exits 0
was_asked '{"op": "get", "domain": "web", "peer": "phone2", "backup": True, "ram_only": True} in r'
[ "$(cat "$work/line")" = 'phone2 flic send' ] || fail "the other end is started, not '$(cat "$work/line")'"
run "$flic" pull --json -s "$work/reach" phone2 web
exits 0
prints_json 'j["seq"] == 4 and j["peer_seq"] == 7 and j["handed"] is False'

it 'what goes to a shell is a host'
run "$flic" push web 'a;b'
exits 2
complains 'is no host name'

it 'Ctrl-C or SIGTERM in a push asks flicd to abort it, and waits for what became of it'
fake "${answers//\{\"_sleep\":0.5\},/\{\"_sleep\":3\},}"
"$flic" push -q -s "$work/reach" web phone2 >"$work/out" 2>&1 &
pushing=$!
for _ in $(seq 250); do grep -qs tunnel "$requests" && break; sleep 0.02; done
sleep 0.3
kill -TERM "$pushing"     # a background job has SIGINT ignored, and that is respected
status=0
wait "$pushing" || status=$?
exits 0                         # flicd's answer was that it was done already
for _ in $(seq 100); do grep -qs abort "$requests" && break; sleep 0.02; done
was_asked '{"op": "abort", "operation": "feed"} in r'
fake "$answers"

it 'list aligns and humanises'
run "$flic" list
exits 0
says 'CHECKPOINT  TAKEN'
says 'web@7       2026-09-21 14:13:20  512 MiB       24 MiB  nvram, flash         2'

it 'list and status show what is tracked, and why something waits'
says 'TRACKED  STATE         RAM  NOT ON FLASH  WRITE SET  EPOCH  TO FLASH'
says 'web      tracking  512 MiB        16 MiB     17 MiB    1 s   100 MiB'
says 'db waits: no memory'

it 'track and untrack ask for a guest, not for a checkpoint'
run "$flic" track web
exits 0
says 'web is tracked'
was_asked '{"op": "track", "domain": "web"} in r'
run "$flic" untrack web
exits 0
says 'web is not tracked'
run "$flic" track web@3
exits 2
run "$flic" wss
exits 2

it 'wss plots the write set and says what it is'
run env LC_ALL=C "$flic" wss web
exits 0
says 'write set of web: 16 MiB, of it 4 MiB in every epoch; 2 MiB in the last 2 s'
says '   16 MiB |  #'
says '      0 B | ##'
says '3 epochs, 2026-09-21 14:13:20 to 2026-09-21 14:13:22'
run "$flic" wss --help
says 'It is a write set'

it 'wss --watch --json prints an object a second until it is interrupted, which is no failure'
status=0
timeout --preserve-status -s INT 2.5 "$flic" wss web --watch --json >"$work/watched" || status=$?
out=$(cat "$work/watched")
exits 0
[ "$(grep -c '^{"ok":true.*}$' "$work/watched")" -ge 2 ] || fail 'there are two objects'

it 'list --json is the answer as it came'
run "$flic" list --json
exits 0
prints_json 'j["checkpoints"][0]["seq"] == 7 and j["ok"] is True'

it 'list of one checkpoint points at show'
run "$flic" list web@7
exits 2
complains 'flic show web@7'

it 'show prints the guest and its configuration'
run "$flic" show web@7
exits 0
says 'web@7'
says '"name": "web"'
was_asked '{"op": "show", "domain": "web", "seq": 7} in r'

it 'log is one line an entry, failures with their code'
run "$flic" log
exits 0
says '41.2 ms'
says '25 MiB'
says '12 MiB'
says 'FLIC_E_GUEST'
was_asked 'r[-1]["op"] == "log" and r[-1]["limit"] == 20'

it 'log --limit asks for that many'
run "$flic" log web -n 3
exits 0
was_asked 'r[-1]["limit"] == 3 and r[-1]["domain"] == "web"'

it 'log DOMAIN@N shows the figures of that one by kind'
fake '{"status":[{"ok":true}],"log":[{"ok":true,"entries":[{"id":2,"began_ns":"1790000000000000000","took_us":2500000,"verb":"save","domain":"web","seq":7,
  "code":0,"message":"","figures":'"$figures"'}]}]}'
run "$flic" log web@7
exits 0
was_asked 'r[-1]["op"] == "log" and r[-1]["domain"] == "web" and r[-1]["seq"] == 7'
says 'save web@7'
says '    pause    41.2 ms'
says '6,144 (24 MiB)'
says 'flash in pause  0 B'
says 'clock went back  no'

it 'log of a checkpoint that the journal does not know is status 3'
fake '{"status":[{"ok":true}],"log":[{"ok":true,"entries":[]}]}'
run "$flic" log web@99
exits 3
complains "the journal has no entry about web@99"
fake "$answers"

it 'protect passes on how often and how many, and says what is protected'
run "$flic" protect web --every 2m --keep 5
exits 0
says 'protected web every 2'
says 'the newest 5 are kept; web@8 is there'
was_asked 'r[-1] == {"op": "protect", "domain": "web", "every_ms": 120000, "keep": 5, "ram_only": False}'
run "$flic" protect web --ram-only
was_asked 'r[-1] == {"op": "protect", "domain": "web", "every_ms": 5000, "keep": 3, "ram_only": True}'
for every in 7 7s 7000ms; do
    run "$flic" protect web --every $every
    was_asked 'r[-1]["every_ms"] == 7000'
done

it 'a time or a number out of range, and a checkpoint in the place of a guest, are wrong usage'
for args in '--every 500ms' '--every 0' '--every 25h' '--every 5x' '--every -5s' '--every 99999999999999999999s' '--keep 0' '--keep 33' '--keep x'; do
    # shellcheck disable=SC2086
    run "$flic" protect web $args
    exits 2
done
run "$flic" protect web@7
exits 2
complains 'name a guest'
run "$flic" unprotect web@7
exits 2

it 'unprotect says what stays'
run "$flic" unprotect web
exits 0
says 'web is not protected any more; 3 checkpoints of it stay'
was_asked 'r[-1] == {"op": "unprotect", "domain": "web"}'

it 'status shows who is protected and how old the newest checkpoint is'
run "$flic" status
says '  guest  every  keep  state    last    age  left out  message'
says '  web      5 s     3  waiting  @8    3.2 s         1  a checkpoint takes longer'

it 'forget needs the number'
run "$flic" forget web
exits 2
complains 'web@N'

it 'forget --dry-run asks with dry_run and says that nothing was changed'
run "$flic" forget web@7 --dry-run
exits 0
says 'would forget web@7 and free 3 MiB; nothing was changed'
was_asked 'r[-1] == {"op": "forget", "domain": "web", "seq": 7, "dry_run": True}'

it 'gc says what it freed, what it wrote for that, and what it left'
run "$flic" gc
exits 0
says 'forgot web@2: no rule keeps it'
says 'freed 6 MiB: removed 2 packs, rewrote 3, and wrote 2 MiB for it'
says '1 more packs are needed by running operations'
was_asked 'r[-1] == {"op": "gc", "dry_run": False}'
run "$flic" gc --dry-run
exits 0
says 'would free about 6 MiB'
was_asked 'r[-1] == {"op": "gc", "dry_run": True}'

it 'verify reads one or all, and says what is bad and which checkpoints it costs'
run "$flic" verify --paced
exits 0
says 'read 8 MiB in 5 packs and 300 pages in NVRAM: something is bad'
says '1 bad packs were set aside as *.bad: 14 objects had another copy, 2 are lost'
says 'web@6 is damaged: 2 of its pages are lost, the first at gfn 0x264'
was_asked 'r[-1] == {"op": "verify", "all": True, "paced": True}'
run "$flic" verify web@7
exits 0
was_asked 'r[-1] == {"op": "verify", "domain": "web", "seq": 7, "all": False, "paced": False}'
run "$flic" verify --all web@7
exits 2
complains 'not both'

it 'fsck says whether the index is right, and rebuilds it when asked'
run "$flic" fsck --rebuild
exits 0
says '4 checkpoints in NVRAM and packs, 9 forgotten; 12 packs, 1 set aside'
says 'the index is damaged: it was removed'
says 'it was set aside and made anew'
was_asked 'r[-1] == {"op": "fsck", "rebuild": True}'

it 'drain says what it moved and what it could not'
run "$flic" drain
exits 0
says 'moved 2 checkpoints to flash, 2 MiB'
says "db@3 still lies in NVRAM alone ('flic log' says why)"
was_asked 'r[-1] == {"op": "drain"}'

it 'pin needs the number, and asks to pin or to unpin'
run "$flic" pin web
exits 2
complains 'say which checkpoint: web@N'
run "$flic" pin web@7
exits 0
says 'web@7 is pinned'
was_asked 'r[-1] == {"op": "pin", "domain": "web", "seq": 7, "pinned": True}'
run "$flic" unpin web@7
exits 0
was_asked 'r[-1] == {"op": "pin", "domain": "web", "seq": 7, "pinned": False}'

it 'forget says what it freed'
run "$flic" forget web@7
exits 0
says 'forgot web@7, freed 3 MiB'
was_asked 'r[-1]["dry_run"] is False'

it 'hold and release are one question with two answers'
run "$flic" hold
exits 0
was_asked 'r[-1] == {"op": "hold", "destage": True}'
run "$flic" release
exits 0
was_asked 'r[-1] == {"op": "hold", "destage": False}'

it 'cancel takes the beginning of an id, or the guest'
run "$flic" cancel abcd
exits 0
was_asked 'r[-1] == {"op": "cancel", "operation": "abcdef0123456789abcdef0123456789"}'
run "$flic" cancel mail
exits 0
was_asked 'r[-1]["operation"].startswith("abc000")'

it 'cancel of what is not under way is status 3, too short an id too'
run "$flic" cancel zzzz
exits 3
run "$flic" cancel abc
exits 3

it 'a FILE that is not ours, is damaged or cut short is status 7'
head -c 300 /dev/urandom >"$work/noise"
run "$flic" show "$work/noise"
exits 7
printf 'FLICREF1\1\0\0\0\140\0\0\0' >"$work/short"
run "$flic" show "$work/short"
exits 7
{ printf 'FLICREF1\1\0\0\0\140\0\0\0'; head -c 120 /dev/zero; } >"$work/damaged"
run "$flic" forget "$work/damaged"
exits 7
complains damaged

it 'a FILE that is not there is status 1'
run "$flic" show "$work/missing"
exits 1

it 'refusals carry the exit status of their code'
while read -r code want; do
    fake '{"list":[{"ok":false,"code":"'"$code"'","error":"one sentence, with the next step"}]}'
    run "$flic" list
    exits "$want"
    complains 'flic list: one sentence, with the next step'
done < <(sed -n 's/^FLIC_ERROR(\([A-Z_]*\), *-[0-9]*, *\([0-9]*\),.*/FLIC_E_\1 \2/p' "$src/schema/errors.def" | sed -n '1p;3p;5p;6p;11p;12p;13p;19p')

it 'a flicd that breaks the protocol, or hangs up, does not hang us'
fake '{"list":[{"_raw":"this is no JSON\n"}]}'
run "$flic" list
exits 1
fake '{"list":[{"_close":true}]}'
run "$flic" list
exits 8
fake '{"list":[{"_raw":"[1]\n"}]}'
run "$flic" list
exits 1

it 'log asks on as long as flicd has more'
fake '{"status":[{"ok":true}],"log":[{"ok":true,"more":true,"entries":[{"id":9,"verb":"save","domain":"web","seq":1,"code":0,"message":"","figures":{}}]}]}'
run "$flic" log -n 0
exits 0
was_asked '[q.get("before") for q in r if q["op"] == "log"][-2:] == [None, 9]'

it 'what keeps guests from being saved stands at the top of status'
fake '{"status":[{"ok":true,"version":"0.1.0","host":{"ready":false,"missing":["log-dirty"],"advice":"boot the other Xen"},
  "nvram":{"ready":false,"error":"the arena is of another store"}}]}'
run "$flic" status
exits 0
says "on this machine now: see 'missing'"
says "without the store: see 'error'"
says 'the arena is of another store'

it 'answers of another version print what they have'
fake '{"status":[{"ok":true}],"list":[{"ok":true,"checkpoints":[{},{"seq":"x","places":3,"taken_ns":-1}]}],"log":[{"ok":true,"entries":[{}]}],"show":[{"ok":true}]}'
for args in status list log 'show a'; do
    # shellcheck disable=SC2086
    run "$flic" $args
    exits 0
done

# No control character but the end of a line, in UTF-8 neither; \r only where the terminal made it of that.
is_harmless() {
    python3 - "$work/out" <<'PY' || fail 'no control character reaches the terminal'
import sys
text = open(sys.argv[1], "rb").read().decode().replace("\r\n", "\n")
assert text and not [c for c in text if c != "\n" and (ord(c) < 0x20 or 0x7f <= ord(c) <= 0x9f)], ascii(text)
PY
}

evil='a\u001b[2Jb\u009b31mc\u007f'
fake '{
"list":[{"ok":true,"checkpoints":[{"domain":"'"$evil"'","seq":1,"places":["'"$evil"'"]}],"tracked":[{"domain":"'"$evil"'","state":"'"$evil"'","why":"'"$evil"'"}]}],
"show":[{"ok":true,"checkpoint":{"domain":"'"$evil"'","seq":1,"disks":[{"path":"'"$evil"'","'"$evil"'":1}]},
   "config":"{\n \"a\": \"\\u001b[2J\\u009b31m \u009b31m\u007f\",\n \"\u009b31m\u007f\": 1 }"}],
"status":[{"ok":true,"version":"'"$evil"'","host":{"xen":"'"$evil"'","missing":["'"$evil"'"]},"moves":[{"domain":"'"$evil"'","state":"gone","peer":"'"$evil"'"}],
   "protection":[{"domain":"'"$evil"'","state":"'"$evil"'","message":"'"$evil"'"}],"operations":[{"operation":"'"$evil"'","kind":"save","domain":"'"$evil"'"}]}],
"log":[{"ok":true,"entries":[{"id":1,"verb":"save","domain":"'"$evil"'","seq":1,"code":"'"$evil"'","message":"'"$evil"'","figures":{"'"$evil"'":1}}]}],
"verify":[{"ok":true,"damaged":[{"domain":"'"$evil"'","seq":6,"damage":"'"$evil"'"}]}],
"fsck":[{"ok":true,"index_sound":false,"why":"'"$evil"'"}],
"claim":[{"ok":true,"domain":"'"$evil"'","peer":"'"$evil"'","was":"gone","dry_run":true}],
"protect":[{"ok":true,"domain":"'"$evil"'"}], "unprotect":[{"ok":true,"domain":"'"$evil"'"}], "track":[{"ok":true,"domain":"'"$evil"'"}],
"wss":[{"ok":true,"domain":"'"$evil"'","samples":[]}], "drain":[{"ok":true,"left":[{"domain":"'"$evil"'","seq":3}]}],
"gc":[{"ok":true,"forgotten":[{"domain":"'"$evil"'","seq":2}]}]}'
for args in list 'show web@1' status log 'log web@1' verify fsck 'claim --dry-run web' 'protect web' 'unprotect web' 'track web' 'wss web' drain gc; do
    it "control characters in an answer to $args do not reach the terminal"
    # shellcheck disable=SC2086 # words on purpose
    run "$flic" $args
    exits 0
    is_harmless
done

it 'a configuration keeps its lines'
run "$flic" show web@1
says '{
  "a": "\u001B[2J??31m ??31m?",'

it 'control characters in JSON reach a program as they are, and no terminal'
run "$flic" list --json
prints_json 'j["checkpoints"][0]["domain"] == "a\x1b[2Jb\x9b31mc\x7f"'
run "$src/tests/cli/on-terminal" '' "$flic" list --json
exits 0
is_harmless
says '\u009B31mc\u007F'

it 'a full disk under stdout is a failure'
fake "$answers"
status=0
"$flic" list >/dev/full 2>"$work/err" || status=$?
out='' err=$(cat "$work/err")
exits 1
complains 'cannot write the answer'

finish
