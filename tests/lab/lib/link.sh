# shellcheck shell=bash
# shellcheck disable=SC2154  # the settings come from load_link
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# Two phones on one private network: wire.c between their second network devices, addresses and names in both Dom0s.
# A link lives in .state/.links/FIRST+SECOND until it is taken away, whether its phones are on or off.

LINKS=$STATE/.links

# The device's address tells Dom0 which device it is, and no two phones have the same.
peer_mac() { printf '52:54:78:%s' "$(printf %s "$1" | sha256sum | sed -E 's/^(..)(..)(..).*/\1:\2:\3/')"; }

link_first() { local pair=${1##*/}; echo "${pair%+*}"; }
link_second() { echo "${1##*+}"; }

# The folder of the link that a phone is in: it has one device for that, so there is one link at most.
link_of() {
    local dir
    for dir in "$LINKS/$1+"* "$LINKS/"*"+$1"; do [ ! -d "$dir" ] || echo "$dir"; done
}

# The folder of the link between two, whichever was named first; fails when there is none.
link_between() {
    local dir
    for dir in "$LINKS/$1+$2" "$LINKS/$2+$1"; do
        if [ -d "$dir" ]; then echo "$dir"; return; fi
    done
    return 1
}

load_link() {
    rate=0 loss=0 seed=1
    # shellcheck source=/dev/null
    [ ! -f "$1/settings" ] || . "$1/settings"
}

save_link() { printf '%s\n' "rate=$rate" "loss=$loss" "seed=$seed" >"$1/settings"; }

set_rate() { number rate "$1" 0 100000; rate=$1; }
set_loss() { [[ $1 =~ ^([0-9]{1,2}(\.[0-9]+)?|100)$ ]] || usage_error "loss takes a percentage, not '$1'"; loss=$1; }

# ---- the wire ----

wire_pid() { cat "$1/wire.pid" 2>/dev/null || true; }
wire_ask() { "$1/run/wire" ask "$1/run/ctl" "$2"; }

# Holds the lock: both phones may come up at the same time.
wire_start() (
    dir=$1
    exec 9>"$dir/lock"
    flock 9
    ! pid_alive "$(wire_pid "$dir")" || exit 0
    load_link "$dir"
    rm -rf "$(readlink "$dir/run" 2>/dev/null || echo "$dir/run")" "$dir/run"
    run=$(mktemp -d "${TMPDIR:-/tmp}/flic-link.XXXXXX")
    ln -s "$run" "$dir/run"
    cp "$TOOLS/wire" "$run/wire"
    in_background "$dir/wire.log" "$run/wire" serve "$STATE/$(link_first "$dir")/run" "$STATE/$(link_second "$dir")/run" \
        "$run/ctl" $((rate * 125000)) "$loss" "$seed" >"$dir/wire.pid"
    for ((i = 0; i < 100; i++)); do
        [ ! -S "$run/ctl" ] || exit 0
        sleep 0.02
    done
    die "the wire did not start: $(tail -n1 "$dir/wire.log")"
)

wire_stop() {
    local dir=$1 pid
    pid=$(wire_pid "$dir")
    if pid_alive "$pid"; then
        wire_ask "$dir" quit >/dev/null 2>&1 || true
        wait_gone "$pid" 5 || kill "$pid" 2>/dev/null || true
    fi
    rm -rf "$(readlink "$dir/run" 2>/dev/null || echo "$dir/run")"
}

# The wire looks for its phones every now and then: it has found this one when it says so.
wire_found() {
    local dir=$1 which=first i
    [ "$2" = "$(link_first "$dir")" ] || which=second
    for ((i = 0; i < 100; i++)); do
        ! wire_ask "$dir" stats | grep -q "\"${which}_up\":true" || return 0
        sleep 0.05
    done
    die "$2 has no second network device: it was started by an older 'phone up'"
}

# ---- Dom0 ----

# Gives a phone that runs its address, and the names of both. Connections that are open there stay open.
link_configure() {
    local dir=$1 name=$2 own=10.78.0.1 names
    [ "$name" = "$(link_first "$dir")" ] || own=10.78.0.2
    names=$(printf '10.78.0.1 %s\\n10.78.0.2 %s\\n' "$(link_first "$dir")" "$(link_second "$dir")")
    wire_found "$dir" "$name"
    in_phone "$(phone_dir "$name")" -n -- "set -e
        ip address replace $own/24 dev peer0
        ip link set peer0 up
        sed -i '/^10\\.78\\.0\\./d' /etc/hosts
        printf '$names' >>/etc/hosts" || die "$name could not be linked"
}

link_forget() {
    local dir=$1 name
    for name in "$(link_first "$dir")" "$(link_second "$dir")"; do
        phone_runs "$STATE/$name" || continue
        in_phone "$STATE/$name" -n -- "ip link set peer0 down; ip address flush dev peer0; sed -i '/^10\\.78\\.0\\./d' /etc/hosts" || true
    done
    wire_stop "$dir"
    rm -rf "$dir"
}

# A phone that was off finds its link again.
link_again() {
    local dir
    dir=$(link_of "$1")
    [ -n "$dir" ] || return 0
    wire_start "$dir"
    link_configure "$dir" "$1"
}

# ---- calls ----

# link_make FIRST SECOND OPTIONS...: makes the link, or what is missing of it
link_make() {
    local first=$1 second=$2 dir name rate loss seed asked=''
    dir=$(link_between "$first" "$second") || dir=$LINKS/$first+$second
    load_link "$dir"
    shift 2
    while [ $# -gt 0 ]; do
        [ $# -ge 2 ] || usage_error "link: $1 needs a value"
        case $1 in
            --rate) set_rate "$2"; asked+=' rate' ;;
            --loss) set_loss "$2"; asked+=' loss' ;;
            --seed) number --seed "$2" 0 999999999; seed=$2 ;;
            *) usage_error "link: unknown argument $1" ;;
        esac
        shift 2
    done
    for name in "$first" "$second"; do
        [ -f "$STATE/$name/settings" ] || die "there is no phone $name"
        [ -z "$(link_of "$name")" ] || [ -d "$dir" ] || die "$name is linked already: $(link_of "$name" | sed 's,.*/,,; s/+/ and /')"
    done
    lab_tools
    mkdir -p "$dir"
    save_link "$dir"
    wire_start "$dir"
    for name in $asked; do link_tell "$dir" "$name" >/dev/null; done
    for name in "$first" "$second"; do
        ! phone_runs "$STATE/$name" || link_configure "$dir" "$name"
    done
}

# link_tell DIR rate|loss: what the settings say, to the wire that runs
link_tell() {
    case $2 in
        rate) wire_ask "$1" "rate $((rate * 125000))" ;;
        loss) wire_ask "$1" "loss $loss" ;;
    esac
}

# link_change DIR rate|loss VALUE: remembered, for a wire that has to start again
link_change() {
    local rate loss seed
    load_link "$1"
    "set_$2" "$3"
    save_link "$1"
    link_tell "$1" "$2" >/dev/null
}

phone_link() {
    local first=$1 second=$2 dir
    phone_dir "$first" >/dev/null
    phone_dir "$second" >/dev/null
    [ "$first" != "$second" ] || usage_error "link: two phones"
    case ${3:-} in
        cut | mend | stats | rate | loss) ;;
        *) link_make "$@"; return ;;
    esac
    dir=$(link_between "$first" "$second") || die "$first and $second are not linked"
    pid_alive "$(wire_pid "$dir")" || die "the wire between $first and $second is gone; 'phone link $first $second' brings it back"
    shift 2
    case $1:$# in
        cut:1 | mend:1) wire_ask "$dir" "$1" >/dev/null ;;
        stats:1) wire_ask "$dir" stats ;;
        rate:2 | loss:2) link_change "$dir" "$1" "$2" ;;
        *) usage_error "link: cut, mend, stats, rate MBIT or loss PERCENT" ;;
    esac
}

phone_unlink() {
    local dir
    phone_dir "$1" >/dev/null
    phone_dir "$2" >/dev/null
    dir=$(link_between "$1" "$2") || die "$1 and $2 are not linked"
    link_forget "$dir"
}
