#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# The flash device alone, driven with qemu-io: what was flushed stays, what was not may go, the same seed repeats.
set -euo pipefail
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=tests/lab/lib/check.sh
. "$TOP/tests/lab/lib/check.sh"
dir=$(mktemp -d)
server=''
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$dir"' EXIT
gcc -std=gnu11 -O2 -Wall -Wextra -Werror -o "$dir/flash-disk" "$TOP/tests/lab/flash-disk.c"

start() {
    "$dir/flash-disk" serve "$dir/image" "$dir/nbd" "$dir/ctl" "$1" &
    server=$!
    until [ -S "$dir/ctl" ]; do sleep 0.02; done
}
stop() {
    ask quit >/dev/null
    wait "$server"
    server=''
    rm -f "$dir/ctl"
}
ask() { "$dir/flash-disk" ask "$dir/ctl" "$1"; }

# Writes, and leaves without the FLUSH that qemu-io sends when it closes: it is killed, like a phone.
write_and_die() {
    local pid command arguments=()
    for command in "$@" 'sleep 60000'; do arguments+=(-c "$command"); done
    : >"$dir/out"
    stdbuf -oL qemu-io -t writeback -f raw "${arguments[@]}" "nbd+unix:///?socket=$dir/nbd" >"$dir/out" 2>&1 &
    pid=$!
    until [ "$(grep -c 'wrote\|failed' "$dir/out")" -eq "$(printf '%s\n' "$@" | grep -c write)" ]; do sleep 0.05; done
    kill -KILL "$pid"
    wait "$pid" 2>/dev/null || true
}

blocks_with() { python3 - "$dir/image" "$1" "$2" "$3" <<'P'
import sys
path, first, count, byte = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
data = open(path, "rb").read()
print(sum(data[i * 4096:(i + 1) * 4096] == bytes([byte]) * 4096 for i in range(first, first + count)))
P
}
# holds FIRST COUNT BYTE MIN MAX: so many of these blocks are full of that byte
holds() {
    local n
    n=$(blocks_with "$1" "$2" "$3")
    echo "$n blocks"
    [ "$n" -ge "$4" ] && [ "$n" -le "$5" ]
}

truncate -s 16M "$dir/image"
start 64
write_and_die 'write -P 1 0 1M' flush 'write -P 2 0 1M' 'write -P 3 2M 1M'
check 'before the cut the device reads back what was written last' holds 0 256 2 256 256
check 'losing reports how many blocks were not flushed' grep -q '"unflushed_blocks":512,' <(ask 'lose 11')
check 'some unflushed blocks are gone' holds 0 256 2 0 255
check 'and are what the last FLUSH left' holds 0 256 1 1 256
check 'blocks never flushed before are empty again' holds 512 256 0 1 256
cp "$dir/image" "$dir/first"
check 'a second loss finds nothing left to lose' grep -q '"unflushed_blocks":0,' <(ask 'lose 12')
check 'and changes nothing' cmp "$dir/first" "$dir/image"
stop

truncate -s 0 "$dir/image"
truncate -s 16M "$dir/image"
start 64
write_and_die 'write -P 1 0 1M' flush 'write -P 2 0 1M' 'write -P 3 2M 1M'
ask 'lose 11' >/dev/null
check 'the same seed loses the same bytes' cmp "$dir/first" "$dir/image"
write_and_die 'write -P 4 4M 1M' flush 'write -P 5 8M 64k'
ask 'lose 11' >/dev/null
check 'flushed blocks all survive' holds 1024 256 4 256 256
stop

start 1
write_and_die 'write -P 6 0 4M'
check 'a full cache writes its oldest blocks back by itself' grep -q '"unflushed_blocks":256}' <(ask stats)
ask 'lose 1' >/dev/null
check 'and those survive' holds 0 768 6 768 768
ask 'fail write 1' >/dev/null
write_and_die 'write -P 7 0 4k'
check 'an injected write error reaches the writer' grep -q 'Input/output error' "$dir/out"
stop
checks_end
