#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
# --help, manual, completions, the example configuration and schema/errors.def say the same.
set -euo pipefail
. "${srcdir:-$(dirname "$0")/../..}/tests/cli/lib.sh"
flic=$top/cli/flic
man=$src/docs/man
status=- out='' err=''

contains() { grep -qF -- "$2" "$1" || fail "${1#"$src"/} has '$2'"; }

it 'every verb of the table has --help, a manual entry and completions'
verbs=$("$flic" --help | awk '/^Verbs/ { on = 1; next } /^$/ { on = 0 } on { print $1 }')
[ "$(wc -w <<<"$verbs")" -ge 8 ] || fail 'the verbs are listed'
for verb in $verbs; do
    "$flic" "$verb" --help | grep -q "^Usage: flic $verb" || fail "$verb explains itself"
    grep -qE "^\.It Cm $verb( |$)" "$man/flic.1" || fail "flic.1 has $verb"
    grep -q "verbs='.*\b$verb\b" "$src/cli/completion/flic.bash" || fail "flic.bash has $verb"
    grep -qE "^ *'$verb:" "$src/cli/completion/_flic" || fail "_flic has $verb"
done

it 'a message that names a command of flic names one there is'
named=$(find "$src/common" "$src/daemon" "$src/libxl-ext" "$src/cli" -name '*.c' -exec cat {} + | grep -oE "(['(]|run )'?flic [a-z]+" |
    sed 's/.*flic //' | sort -u)
[ "$(wc -w <<<"$named")" -ge 5 ] || fail 'messages name commands'
for verb in $named; do
    grep -qx "$verb" <<<"$verbs" || fail "there is a command 'flic $verb'"
done

it 'every long option of a verb is in the manual and in both completions'
for verb in $verbs; do
    for option in $("$flic" "$verb" --help | grep -oE -- '--[a-z-]+' | sort -u | grep -vxE -- '--(version)'); do
        grep -qE "Fl -${option#--}( |$)" "$man/flic.1" || fail "flic.1 has $option"
        contains "$src/cli/completion/flic.bash" "$option"
        contains "$src/cli/completion/_flic" "$option"
    done
done
for verb in save restore migrate migrate-receive; do
    for option in $("$top/tests/cli/xl-on-fakes" $verb --flic --help | grep -oE -- '^ .*--[a-z-]+' | grep -oE -- '--[a-z-]+' |
        sort -u | grep -vxE -- '--(usage)'); do
        [ "$option" = --help ] || grep -qE "Fl -${option#--}( |$)" "$man/xl-flic.1" || fail "xl-flic.1 has $option"
        contains "$src/cli/completion/xl.bash" "$option"
        contains "$src/cli/completion/_xl" "$option"
    done
done

it 'the table of codes in flic(1) is schema/errors.def'
sed -n 's/^FLIC_ERROR(\([A-Z_]*\), *-[0-9]*, *\([0-9]*\), *"\(.*\)")$/.It FLIC_E_\1 Ta \2 Ta \3/p' "$src/schema/errors.def" >"$work/want"
sed -n '/codes: begin/,/codes: end/p' "$man/flic.1" | grep '^\.It ' >"$work/have"
diff -u "$work/want" "$work/have" >&2 || fail 'the rows are the same'
[ -s "$work/want" ] || fail 'there are rows'

it 'every exit status that errors.def gives is explained'
while read -r n; do
    grep -qx "\.It $n" "$man/flic.1" || fail "flic.1 explains status $n"
done < <(sed 's/.* Ta \([0-9]\) Ta .*/\1/' "$work/want" | sort -u)

it 'every key of flicd is in flicd.conf(5) and in the example, and no other'
keys=$(grep -oE '(INT|TEXT)_KEY\([a-z_]+' "$src/daemon/conf.c" | sed 's/.*(//' | grep -v '^k$' | sort)
[ -n "$keys" ] || fail 'there are keys'
diff -u <(echo "$keys") <(sed -n 's/^\.It Va \([a-z_]*\) No = .*/\1/p' "$man/flicd.conf.5" | sort) >&2 || fail 'flicd.conf(5) has these keys'
diff -u <(echo "$keys") <(sed -n 's/^# \([a-z_]*\) = .*/\1/p' "$src/systemd/flicd.conf" | sort) >&2 || fail 'the example has these keys'

if [ -x "$top/daemon/flicd" ]; then
    it 'flicd takes the example with every line in force'
    sed -n 's/^# \([a-z_]* = .*\)/\1/p' "$src/systemd/flicd.conf" |
        sed "s,/nvram/flic.arena,$work/arena,; s,/var/lib/flic,$work/store,; s,/run/flic/flicd.sock,$work/s," >"$work/conf"
    "$top/daemon/flicd" --config "$work/conf" 2>"$work/log" &
    fakes+=($!)
    for _ in $(seq 250); do [ -S "$work/s" ] && break; sleep 0.02; done
    run "$flic" --socket "$work/s" status --json
    exits 0
    prints_json 'j["config"]["workers"] == 4 and j["config"]["destage"] == "idle" and j["config"]["live_stop_pages"] == 256'
fi

it 'the manual pages are clean'
for page in "$man"/*.[158]; do
    if command -v mandoc >/dev/null; then
        found=$(mandoc -Tlint -W warning "$page" 2>&1 || true)
        [ -z "$found" ] || fail "mandoc: $found"
    fi
    if man --warnings --version >/dev/null 2>&1; then
        found=$(LC_ALL=C man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>&1 >/dev/null || true)
        [ -z "$found" ] || fail "man: $found"
    fi
done

it 'both shells load the completions'
bash -n "$src/cli/completion/flic.bash" "$src/cli/completion/xl.bash" || fail 'bash reads them'
got=$(PATH=$top/cli:$PATH bash -c '. "$0"; COMP_WORDS=(flic rel); COMP_CWORD=1; _flic; echo "${COMPREPLY[*]}"' "$src/cli/completion/flic.bash")
[ "$got" = release ] || fail "bash completes 'rel' to release, not '$got'"
fake '{"list":[{"ok":true,"checkpoints":[{"domain":"web","seq":7},{"domain":"web","seq":6},{"domain":"db","seq":1}]}]}'
got=$(cd "$work" && PATH=$top/cli:$PATH bash -c '. "$0"; COMP_WORDS=(flic forget we); COMP_CWORD=2; _flic; echo "${COMPREPLY[*]}"' "$src/cli/completion/flic.bash")
[ "$got" = 'web@7 web@6' ] || fail "bash completes 'we' to checkpoints, not '$got'"
got=$(cd "$work" && PATH=$top/cli:$PATH bash -c '. "$0"; COMP_WORDS=(flic list we); COMP_CWORD=2; _flic; echo "${COMPREPLY[*]}"' "$src/cli/completion/flic.bash")
[ "$got" = web ] || fail "bash completes 'we' to a guest, not '$got'"
if command -v zsh >/dev/null; then
    zsh -n "$src/cli/completion/_flic" || fail 'zsh reads _flic'
    zsh -n "$src/cli/completion/_xl" || fail 'zsh reads _xl'
fi

finish
