# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# Debian packages of another suite and architecture, without touching the machine's own apt.
# Sourced, never run. Everything lives in a private folder: sources, package lists, downloads. The mirror is
# the one this machine already uses, so no host name is written here.
#
#   apt_open DIR SUITE ARCH     picks the private folder; everything below works on it
#   apt_debs PACKAGE...         downloads the packages and what they depend on; prints the .deb paths
#   apt_unpack ROOT DEB...      unpacks with dpkg -x: no maintainer script runs
#   apt_pool_file PACKAGE NAME SHA256 DIR
#                               downloads one file of a source package from the mirror's pool, checks its SHA-256, prints its path

APT_DIR=''

apt_die() { echo "apt: $*" >&2; return 1; }

# Prints URI, suite, components, key (tab separated) for every source of a one-line list.
apt_entries_oneline() {
    sed -nE 's/^[[:space:]]*deb(-src)?[[:space:]]+(\[[^]]*\])?[[:space:]]*([^[:space:]]+)[[:space:]]+([^[:space:]]+)[[:space:]]*(.*)$/\3\t\4\t\5\t\2/p' "$1" |
    awk -F '\t' '{
        signed = ""
        if (match($4, /signed-by=[^] ]+/)) signed = substr($4, RSTART + 10, RLENGTH - 10)
        sub(/[ \t]*#.*/, "", $3)
        print $1 "\t" $2 "\t" $3 "\t" signed
    }'
}

# The same for deb822. A key may be given inline over several lines; those lines are joined with \n.
apt_entries_deb822() {
    awk '
        function flush(    i, n, u, s, k) {
            if (uris != "" && suites != "" && enabled !~ /^(no|false|0)$/) {
                n = split(uris, u, /[ \t]+/)
                for (i = 1; i <= n; i++) print u[i] "\t" suites "\t" comps "\t" signed
            }
            uris = suites = comps = signed = enabled = ""
        }
        /^#/ { next }
        /^[ \t]*$/ { flush(); next }
        /^[ \t]/ { if (last == "signed-by") signed = signed "\\n" $0; next }
        {
            last = tolower($0); sub(/:.*/, "", last)
            value = $0; sub(/^[^:]*:[ \t]*/, "", value)
            if (last == "uris") uris = value
            else if (last == "suites") suites = value
            else if (last == "components") comps = value
            else if (last == "signed-by") signed = value
            else if (last == "enabled") enabled = tolower(value)
        }
        END { flush() }' "$1"
}

# All entries of this machine: URI, suites, components, key; tab separated. APT_ETC is for the tests.
apt_entries() {
    local etc=${APT_ETC:-/etc/apt} file
    for file in "$etc"/sources.list "$etc"/sources.list.d/*.list; do
        [ ! -f "$file" ] || apt_entries_oneline "$file"
    done
    for file in "$etc"/sources.list.d/*.sources; do
        [ ! -f "$file" ] || apt_entries_deb822 "$file"
    done
}

# The Debian mirror among them: its path is .../debian (or a mirror list, or a dated snapshot of it), it has
# "main", and it serves a release suite rather than an add-on (security, updates, backports).
apt_mirror() {
    apt_entries | awk -F '\t' '
        $1 !~ /\/debian(\.list|\/[0-9]+T[0-9]+Z)?\/?$/ { next }
        $3 !~ /(^|[ \t])main([ \t]|$)/ { next }
        {
            n = split($2, s, /[ \t]+/)
            for (i = 1; i <= n; i++)
                if (s[i] != "" && s[i] !~ /[-\/]/) { print $1 "\t" $4; exit }
        }'
}

apt_open() {
    local dir=$1 suite=$2 arch=$3 entry uri key
    APT_DIR=$(realpath -m "$dir")
    mkdir -p "$APT_DIR"/{parts,lists/partial,cache/archives/partial,sets}
    entry=$(apt_mirror)
    [ -n "$entry" ] || { apt_die "no Debian mirror with component main in this machine's apt sources"; return 1; }
    IFS=$'\t' read -r uri key <<<"$entry"
    {
        printf 'Types: deb deb-src\nURIs: %s\nSuites: %s\nComponents: main\n' "$uri" "$suite"
        [ -z "$key" ] || printf 'Signed-By: %b\n' "$key"
    } >"$APT_DIR/parts/debian.sources"
    : >"$APT_DIR/status"
    cat >"$APT_DIR/apt.conf" <<CONF
#clear APT::Architectures;
APT::Architecture "$arch";
APT::Architectures { "$arch"; };
APT::Sandbox::User "root";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::Retries "3";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$APT_DIR/parts";
Dir::State::Lists "$APT_DIR/lists";
Dir::State::status "$APT_DIR/status";
Dir::Cache "$APT_DIR/cache";
Dir::Cache::archives "$APT_DIR/cache/archives";
CONF
}

apt_run() { local tool=$1; shift; "$tool" -c "$APT_DIR/apt.conf" "$@"; }

# The index is fetched when there is none or it is older than a day.
apt_refresh() {
    if [ "${1:-}" != force ] && [ -n "$(find "$APT_DIR/updated" -mtime -1 2>/dev/null)" ]; then
        return 0
    fi
    apt_run apt-get -qq update >&2 || { apt_die "the package index could not be fetched"; return 1; }
    touch "$APT_DIR/updated"
}

# Names of the files that installing PACKAGE... on an empty system takes, one per line.
apt_resolve() {
    apt_run apt-get -qq -s --no-install-recommends install "$@" |
        sed -nE 's/^Inst ([^ ]+) \(([^ ]+) .*\[([a-z0-9]+)\]\).*/\1 \2 \3/p' |
        while read -r name version arch; do
            echo "${name%%:*}_${version//:/%3a}_$arch.deb"
        done
}

apt_download() {
    apt_run apt-get -qq -y --download-only --no-install-recommends install "$@" >&2
}

# One resolved set per list of names is remembered, so the next call needs neither network nor apt.
apt_debs() {
    local set name
    set=$APT_DIR/sets/$(printf '%s\n' "$@" | sort -u | sha256sum | cut -c1-16)
    (
        flock 9
        if [ ! -s "$set" ]; then
            apt_refresh
            apt_download "$@" || { apt_refresh force && apt_download "$@"; }
            apt_resolve "$@" >"$set.new"
            while read -r name; do
                [ -f "$APT_DIR/cache/archives/$name" ] || { apt_die "$name was not downloaded"; exit 1; }
            done <"$set.new"
            mv "$set.new" "$set"
        fi
    ) 9>"$APT_DIR/lock" || return 1
    sed "s|^|$APT_DIR/cache/archives/|" "$set"
}

apt_unpack() {
    local root=$1 deb
    shift
    mkdir -p "$root"
    for deb in "$@"; do
        dpkg -x "$deb" "$root" || { apt_die "$(basename "$deb") does not unpack"; return 1; }
    done
}

# A file of a source package, by its place in the mirror's pool. The pool keeps a version for years after the suite's index has
# moved on to the next, so a pinned source is not lost with a point release; what counts is the SHA-256 that the caller knows.
apt_pool_file() {
    local package=$1 name=$2 sum=$3 dir=$4 uri
    mkdir -p "$dir"
    if ! echo "$sum  $dir/$name" | sha256sum -c --status 2>/dev/null; then
        uri=$(sed -n 's/^URIs: //p' "$APT_DIR/parts/debian.sources")
        uri=${uri%/}/pool/main/${package:0:1}/$package/${name//+/%2b}
        apt_run /usr/lib/apt/apt-helper download-file "$uri" "$dir/$name" "SHA256:$sum" >&2 ||
            { rm -f "$dir/$name"; apt_die "$name could not be downloaded from the mirror's pool, or its SHA-256 is not $sum"; return 1; }
    fi
    echo "$dir/$name"
}
