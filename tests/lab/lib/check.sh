# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# The lab's tests: one sentence per check, a count at the end. Sourced.

CHECKS_FAILED=0
CHECKS_DONE=0

# check SENTENCE COMMAND...: the sentence holds when the command succeeds. Its output is shown when it does not.
check() {
    local sentence=$1 output rc=0
    shift
    output=$("$@" 2>&1) || rc=$?
    CHECKS_DONE=$((CHECKS_DONE + 1))
    if [ $rc -eq 0 ]; then
        echo "ok    $sentence"
    else
        CHECKS_FAILED=$((CHECKS_FAILED + 1))
        echo "FAIL  $sentence (status $rc)"
        tail -n 20 <<<"$output" | while IFS= read -r line; do echo "      $line"; done
    fi
}

# Run last: the script's exit status.
checks_end() {
    echo "$((CHECKS_DONE - CHECKS_FAILED)) of $CHECKS_DONE checks hold"
    [ $CHECKS_FAILED -eq 0 ]
}

# fails_with STATUS COMMAND...
fails_with() {
    local wanted=$1 rc=0
    shift
    "$@" || rc=$?
    [ $rc -eq "$wanted" ] || { echo "status $rc instead of $wanted"; return 1; }
}

# fails_naming TEXT COMMAND...: fails and says TEXT
fails_naming() {
    local text=$1 output rc=0
    shift
    output=$("$@" 2>&1) || rc=$?
    [ $rc -ne 0 ] || { echo "it succeeded: $output"; return 1; }
    grep -q -- "$text" <<<"$output" || { echo "it does not say '$text': $output"; return 1; }
}
