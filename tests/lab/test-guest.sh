#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# A guest that works with everything at once: healthy on both interrupt controllers, and it notices damage.
set -euo pipefail
LAB=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/lab/lib/check.sh
. "$LAB/lib/check.sh"
phone=$LAB/phone
name=selfguest-$$
trap '"$phone" rm "$name"' EXIT

report() { "$phone" guest-status "$name" "$1" --json; }
field() { report "$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$2"; }
goes_on() {
    local before after
    before=$(field "$1" seq)
    sleep 10
    after=$(field "$1" seq)
    echo "$before, then $after"
    [ "$after" -gt "$before" ]
}
every_part_works() {
    local part
    for part in mem cold disk db net; do
        echo "$part: $(field "$1" "$part"), $(field "$1" "${part}_work") done"
        [ "$(field "$1" "$part")" = ok ] && [ "$(field "$1" "${part}_work")" -gt 0 ]
    done
}
verifies() {
    "$phone" guest-verify "$name" "$1" >"/tmp/$name.answer"
    cat "/tmp/$name.answer"
    python3 - "/tmp/$name.answer" <<'P'
import json, sys
a = json.load(open(sys.argv[1]))
assert a["ok"] and a["ping"] and a["echo"] and a["errors"] == 0, a
assert a["memory_pages"] > 0 and a["cold_files"] > 0 and a["disk_blocks"] > 0 and a["db_rows"] > 0, a
assert abs(a["wall_skew_ms"]) <= 2000, a["wall_skew_ms"]
P
}
damaged() { fails_naming "$2" "$phone" guest-verify "$name" "$1"; }

for gic in 3 2; do
    echo "GICv$gic"
    "$phone" up "$name" --fresh --gic $gic --nvram 64 --flash 2048
    check "a guest with the mixed load comes up on GICv$gic" "$phone" guest "$name" worker --memory 256 --vcpus "${FLIC_LAB_VCPUS:-1}" --limit 400
    check 'its reports go on' goes_on worker
    check 'every part of the load does its work' every_part_works worker
    check 'its full self-check holds, network and wall clock included' verifies worker
    [ $gic = 3 ] || continue
    check 'a command runs inside it' fails_with 4 "$phone" guest-exec "$name" worker 'exit 4'
    check 'a second guest of the same name is refused' fails_naming 'running already' "$phone" guest "$name" worker
    check 'an unknown workload is refused' fails_with 2 "$phone" guest "$name" other --workload heavy
    # Negative controls: one wrong byte must be found, in memory and on the disk.
    "$phone" guest-exec "$name" worker 'printf X | dd of=/cold/003 bs=1 seek=5000 conv=notrunc 2>&1'
    check 'one wrong byte in a cold file is found and named' damaged worker 'file 3 has another SHA-256'
    "$phone" exec "$name" xl destroy worker
    "$phone" guest "$name" disky --memory 256 --workload disk --limit 400 >/dev/null
    "$phone" guest-exec "$name" disky 'dd if=/dev/zero of=/disk/load bs=1M conv=notrunc count=64 2>&1; sync'
    check 'a disk that lost its writes is found and named' damaged disky 'is not its generation'
    check 'a guest that found damage is not healthy any more' fails_with 1 report disky
    "$phone" down "$name"
done
rm -f "/tmp/$name.answer"
checks_end
