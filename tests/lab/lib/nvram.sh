# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# A phone's NVRAM: a file that the emulator maps. It lies in the host's memory where there is room. On a disk the host's
# kernel writes its pages back every half minute and then has the first store to each page fault, which takes longer than copying
# it: a pause of the phone's would be the host's disk.

nvram_place() { echo "/dev/shm/flic-nvram-$(printf %s "$1" | sha256sum | cut -c1-16)"; }

# A phone that was removed by removing its checkout left its NVRAM behind.
nvram_sweep() {
    local place
    for place in /dev/shm/flic-nvram-*; do
        if [ -f "$place/phone" ] && [ -O "$place" ] && [ ! -d "$(cat "$place/phone")" ]; then rm -rf "$place"; fi
    done
}

nvram_make() {
    local dir=$1 mib=$2 place room
    nvram_sweep
    if [ -L "$dir/nvram.img" ] && [ ! -e "$dir/nvram.img" ]; then
        die "this phone's NVRAM went with the memory of its host; use 'phone up --fresh' to start over"
    fi
    room=$(df --output=avail -m /dev/shm 2>/dev/null | tail -n 1)
    if [ ! -e "$dir/nvram.img" ] && [ "${room:-0}" -ge $((2 * mib + 512)) ]; then
        place=$(nvram_place "$dir")
        mkdir -p "$place"
        echo "$dir" >"$place/phone"
        truncate -s "${mib}M" "$place/nvram.img"
        ln -s "$place/nvram.img" "$dir/nvram.img"
    fi
    make_disk "$dir/nvram.img" "$mib"
}

nvram_erase() {
    rm -rf "$(nvram_place "$1")"
}
