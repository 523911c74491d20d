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

# A volume is a file in $vg. CUT=N: the Nth command that changes something is the first that does not happen.
cat >"$work/bin/lvm-twin" <<'T'
#!/bin/bash
vg=$FAKE_VG at=${!#}
changes() {
    n=$(($(cat "$vg.count" 2>/dev/null || echo 0) + 1))
    echo $n >"$vg.count"
    if [ "$n" = "${CUT:-0}" ]; then kill -KILL $PPID; exit 1; fi
}
case ${0##*/} in
    lvs)
        case $* in
            *-o\ lv_name\ vg) ls "$vg"; exit ;;
        esac
        [ -e "$vg/${at##*/}" ] || exit 5
        case $* in *vg_name*) echo "  vg" ;; *lv_name*) echo "  ${at##*/}" ;; *segtype*) echo "  ${FAKE_TYPE:-thin}" ;; esac ;;
    lvcreate) changes; [ ! -e "$vg/$5" ] && cp "$vg/${at##*/}" "$vg/$5" ;;
    lvrename) changes; [ ! -e "$vg/$4" ] && mv "$vg/$3" "$vg/$4" ;;
    lvremove) changes; rm "$vg/${at##*/}" ;;
    blockdev) ;;
esac
T
chmod +x "$work/bin/lvm-twin"
for c in lvs lvcreate lvrename lvremove blockdev; do ln -s lvm-twin "$work/bin/$c"; done
export PATH=$work/bin:$PATH FAKE_VG=$vg

ask() { rm -f "$vg.count"; "$hook" "$1" xvda /dev/vg/web "$name"; }
has() { [ "$(cat "$vg/web" 2>/dev/null)" = "$1" ] || fail "the disk is $1 ($2): $(head -v "$vg"/* 2>&1 | tr '\n' ' ')"; }
volumes() { find "$vg" -type f -name "*${1:-}*" | wc -l; }
fresh() {
    rm -f "$vg"/*
    echo old >"$vg/web"
    for step in check flush take settle; do ask $step || fail "a snapshot is taken: $step"; done
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

it 'cut off at any command, back makes it as it was, and place works again'
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

it 'a volume that is not thin is refused with the reason'
fresh
run env FAKE_TYPE=linear "$hook" check xvda /dev/vg/web "$name"
exits 1
complains 'not a thin volume'

finish
