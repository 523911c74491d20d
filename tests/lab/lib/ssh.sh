# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# Commands and files into a phone, over one ssh connection that stays open.

SSH=(ssh -F none -i "$FLIC_CACHE/lab/keys/client" -o IdentitiesOnly=yes -o BatchMode=yes -o LogLevel=ERROR
    -o HostKeyAlias=flic-lab-phone -o StrictHostKeyChecking=yes -o "UserKnownHostsFile=$FLIC_CACHE/lab/keys/known_hosts"
    -o ConnectTimeout=60 -o ServerAliveInterval=30 -o ServerAliveCountMax=10)

# Opened on its own, so that no caller's pipe is kept open by it.
ssh_master() {
    local dir=$1
    [ ! -S "$dir/run/ssh" ] || return 0
    (
        exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
        for _ in 1 2 3; do
            setsid "${SSH[@]}" -M -N -f -S "$dir/run/ssh" -p "$(cat "$dir/run/port")" root@127.0.0.1 \
                </dev/null >/dev/null 2>>"$dir/ssh.log" && exit 0
        done
        exit 1
    ) || die "no ssh into the phone: $(tail -n1 "$dir/ssh.log")"
}

ssh_close() {
    [ ! -S "$1/run/ssh" ] || "${SSH[@]}" -S "$1/run/ssh" -O exit root@127.0.0.1 >/dev/null 2>&1 || true
}

# Exit status 125 means the lab failed, anything else is the command's own.
in_phone() {
    local dir=$1
    shift
    phone_runs "$dir" || { echo "phone: $(basename "$dir") is not running" >&2; exit 125; }
    ssh_master "$dir"
    "${SSH[@]}" -S "$dir/run/ssh" -p "$(cat "$dir/run/port")" root@127.0.0.1 "$@"
}

# One argument is a shell line for Dom0's bash; several are one command and its arguments, taken literally.
phone_exec() {
    local dir stdin=no line rc=0
    if [ "$1" = --stdin ]; then stdin=yes; shift; fi
    [ $# -ge 1 ] || usage_error "exec NAME [--] CMD..."
    dir=$(phone_dir "$1")
    shift
    [ "${1:-}" != -- ] || shift
    [ $# -ge 1 ] || usage_error "exec: no command"
    if [ $# -eq 1 ]; then line=$1; else line=$(printf '%q ' "$@"); fi
    if [ $stdin = yes ]; then
        in_phone "$dir" -- "$line" || rc=$?
    else
        in_phone "$dir" -n -- "$line" </dev/null || rc=$?
    fi
    [ $rc -ne 255 ] || phone_runs "$dir" || { echo "phone: $(basename "$dir") went away" >&2; rc=125; }
    return $rc
}

phone_put() {
    local dir file=$2 dest=$3 mode line
    dir=$(phone_dir "$1")
    [ -f "$file" ] || die "no file $file"
    mode=$(stat -c %a "$file")
    # shellcheck disable=SC2016  # $d is for the phone's shell
    line=$(printf 'd=%q; [ ! -d "$d" ] || d=$d/%q; cat >"$d" && chmod %s "$d"' "$dest" "${file##*/}" "$mode")
    in_phone "$dir" -- "$line" <"$file"
}

phone_get() {
    local dir src=$2 file=$3
    dir=$(phone_dir "$1")
    [ ! -d "$file" ] || file=$file/$(basename "$src")
    in_phone "$dir" -n -- "$(printf 'cat -- %q' "$src")" </dev/null >"$file.part" || { rm -f "$file.part"; die "no $src in $1"; }
    mv "$file.part" "$file"
}
