#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# The mirror is found in every way a machine's apt sources can be written. No network.
set -euo pipefail
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=scripts/lib/apt.sh
. "$TOP/scripts/lib/apt.sh"
# shellcheck source=tests/lab/lib/check.sh
. "$TOP/tests/lab/lib/check.sh"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
APT_ETC=$scratch/etc
mkdir -p "$APT_ETC/sources.list.d"

sources() { rm -f "$APT_ETC"/sources.list "$APT_ETC"/sources.list.d/*; cat >"$APT_ETC/$1"; }
mirror_is() { [ "$(apt_mirror | cut -f1)" = "$1" ] || { apt_mirror; return 1; }; }
key_is() { [ "$(apt_mirror | cut -f2)" = "$1" ] || { apt_mirror; return 1; }; }
no_mirror() { [ -z "$(apt_mirror)" ] || { apt_mirror; return 1; }; }

sources sources.list <<'L'
deb [arch=amd64 signed-by=/other.gpg] https://packages.example/linux/debian bookworm stable
deb http://mirror.example/debian-security bookworm-security main
deb [signed-by=/deb.gpg] http://mirror.example/debian/ bookworm main contrib # the one
L
check 'a one-line list gives its Debian mirror, past third parties and add-on suites' mirror_is http://mirror.example/debian/
check 'a one-line key is kept' key_is /deb.gpg

sources sources.list <<'L'
#deb http://disabled.example/debian bookworm main
deb-src http://mirror.example/debian bookworm-updates main
L
check 'a commented line and an updates suite are no mirror' no_mirror

sources sources.list.d/debian.sources <<'L'
# a comment inside the stanza
Types: deb
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
L
check 'a deb822 file gives its Debian mirror' mirror_is http://mirror.example/debian
check 'a deb822 key is kept' key_is /usr/share/keyrings/debian.gpg

sources sources.list.d/x.sources <<'L'
Enabled: no
Types: deb
URIs: http://disabled.example/debian
Suites: bookworm
Components: main

Types: deb
URIs: mirror+file:/etc/apt/mirrors/debian.list
Suites: bookworm
Components: main
L
check 'a disabled stanza is passed over, a mirror list is taken' mirror_is mirror+file:/etc/apt/mirrors/debian.list
sources sources.list </dev/null
check 'a machine without a Debian mirror is told so' fails_naming 'no Debian mirror' apt_open "$scratch/state" trixie arm64
checks_end
