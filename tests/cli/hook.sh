#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
# The example hook for LVM-thin against commands that do to files what LVM's do to volumes, cut off at every one of them.
set -euo pipefail
. "${srcdir:-$(dirname "$0")/../..}/tests/cli/lib.sh"
hook=$src/docs/examples/snapshot-hook-lvm-thin
name=51515151-5151-5151-5151-515151515151.62626262-6262-6262-6262-626262626262.7.d0
vg=$work/vg
mkdir -p "$work/bin" "$vg"

# A volume is a file in $vg. CUT=N: the Nth command that changes something is the first that does not happen. GONE: the group's device is.
# FULL: what lvcreate says instead.
cat >"$work/bin/lvm-twin" <<'T'
#!/bin/bash
vg=$FAKE_VG at=${!#}
at=${at##*/}
at=${at#vg-}
changes() {
    n=$(($(cat "$vg.count" 2>/dev/null || echo 0) + 1))
    echo $n >"$vg.count"
    if [ "$n" = "${CUT:-0}" ]; then kill -KILL $PPID; exit 1; fi
}
named() { while [ "$1" != -n ]; do shift; done; echo "$2"; }
[ -z "${GONE:-}" ] || { echo "  Volume group \"vg\" not found." >&2; exit 5; }
case ${0##*/} in
    lvs)
        case $* in
            *-o\ lv_name\ vg) ls "$vg" | sed 's/^/  /'; exit ;;
        esac
        [ -e "$vg/$at" ] || exit 5
        case $* in *vg_name,lv_name*) echo "  vg/$at" ;; *segtype*) echo "  ${FAKE_TYPE:-thin}" ;; esac ;;
    lvcreate)
        [ -z "${FULL:-}" ] || { echo "  WARNING: one." >&2; echo "  $FULL" >&2; exit 5; }
        new=$(named "$@")
        [ -e "$vg/$at" ] && [ ! -e "$vg/$new" ] || exit 5
        case " $* " in *" --test "*) exit ;; esac
        changes
        cp "$vg/$at" "$vg/$new" ;;
    lvrename) changes; [ ! -e "$vg/$4" ] && mv "$vg/$3" "$vg/$4" ;;
    lvremove) changes; for at in "${@:2}"; do rm "$vg/${at##*/}"; done ;;
    vgs) echo "  $vg.device" ;;
    sync) echo "$1" >>"$vg.synced" ;;
    dmsetup) at=${*: -2:1}; echo "vg/${at#vg-}" ;;
esac
T
chmod +x "$work/bin/lvm-twin"
for c in lvs lvcreate lvrename lvremove vgs sync dmsetup; do ln -s lvm-twin "$work/bin/$c"; done
export PATH=$work/bin:$PATH FAKE_VG=$vg

path=/dev/vg/web
ask() { rm -f "$vg.count"; "$hook" "$1" xvda "$path" "$name"; }
has() { [ "$(cat "$vg/web" 2>/dev/null)" = "$1" ] || fail "the disk is $1 ($2): $(head -v "$vg"/* 2>&1 | tr '\n' ' ')"; }
volumes() { find "$vg" -type f -name "*${1:-}*" | wc -l; }
fresh() {
    rm -f "$vg"/*
    echo old >"$vg/web"
    for one in check flush take settle settle; do ask $one || fail "a snapshot is taken: $one"; done
    echo new >"$vg/web"
}

it 'a snapshot is put in place, the disk before it kept, both dropped'
fresh
ask place
has old 'after place'
ask keep
ask keep
[ "$(cat "$vg/$name".was-*)" = new ] || fail 'the displaced disk is kept'
ask place
ask keep
[ "$(volumes 'was-')" = 2 ] || fail 'each displaced disk is kept'
ask drop-displaced
ask drop
ask drop
[ "$(ls "$vg")" = web ] || fail 'only the disk is left'

it 'put back, all is as it was, however often'
fresh
ask place
ask back
ask back
has new 'after back'
[ "$(volumes)" = 2 ] || fail 'nothing is left beside disk and snapshot'

for path in /dev/vg/web /dev/mapper/vg-web; do
    it "cut off at any command, back makes $path as it was, and place works again"
    for ((cut = 1; cut < 9; cut++)); do
        fresh
        export CUT=$cut
        ! ask place 2>/dev/null || break
        unset CUT
        ask back
        has new "cut at $cut"
        [ "$(volumes)" = 2 ] || fail "cut at $cut nothing is left beside disk and snapshot"
        ask place
        has old "placed after cut $cut"
    done
    unset CUT
    [ $cut -gt 3 ] || fail 'there were commands to cut at'
done

it 'what became of names is flushed before it counts'
path=/dev/vg/web
for step in settle place back keep drop drop-displaced; do
    fresh
    case $step in back | keep) ask place ;; esac
    rm "$vg.synced"
    ask $step
    [ "$(tail -n 1 "$vg.synced" 2>/dev/null)" = "$vg.device" ] || fail "$step flushes the group's device"
done

it 'a group that cannot be read is not taken for one without such volumes'
for step in check take settle place back keep drop drop-displaced; do
    fresh
    run env GONE=yes "$hook" $step xvda "$path" "$name"
    [ "$status" != 0 ] || fail "$step fails"
done
complains 'cannot be read'

it 'a pool without room: the reason, and what can be done'
for step in check take; do
    fresh
    rm "$vg/$name"
    run env FULL='Cannot create new thin volume, free space in thin pool vg/pool reached threshold.' "$hook" $step xvda "$path" "$name"
    exits 1
    [[ ${err##*$'\n'} == 'Cannot create'*'vg/pool'*lvextend*'flic forget'* ]] || fail "$step says so in its last line"
done

it 'a volume that is not thin is refused with the reason'
fresh
run env FAKE_TYPE=linear "$hook" check xvda /dev/vg/web "$name"
exits 1
complains 'not a thin volume'

finish
