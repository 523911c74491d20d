# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
# bash completion of flic

_flic_checkpoints() {
    flic list 2>/dev/null | awk '/^$/ { exit } NR > 1 { print $1 }'
}

_flic_tracked() {
    flic list 2>/dev/null | awk 'on { print $1 } $1 == "TRACKED" { on = 1 }'
}

_flic() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} verb='' word i
    local verbs='status list show log forget pin unpin gc verify fsck drain track untrack wss protect unprotect push pull send receive claim hold release cancel' options='--json --socket --help --usage'

    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $word == -* || ${COMP_WORDS[i - 1]} == --socket ]]; then
            continue
        fi
        verb=$word
        break
    done
    case $prev in
        -s) COMPREPLY=(); return ;;
        --socket) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        -n | --limit | --every | --keep) COMPREPLY=(); return ;;
    esac
    case $verb in
        '') options+=' --version' ;;
        log) options+=' --limit' ;;
        forget | claim | gc) options+=' --dry-run' ;;
        wss) options+=' --watch' ;;
        verify) options+=' --all --paced' ;;
        fsck) options+=' --rebuild' ;;
        protect) options+=' --every --keep --ram-only' ;;
        push | pull) options+=' --backup --ram-only --quiet -s' ;;
    esac
    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
        return
    fi
    case $verb in
        '') mapfile -t COMPREPLY < <(compgen -W "$verbs" -- "$cur") ;;
        list) mapfile -t COMPREPLY < <(compgen -W "$(_flic_checkpoints | sed 's/@[0-9]*$//' | sort -u)" -- "$cur") ;;
        show | log | forget | pin | unpin | verify) mapfile -t COMPREPLY < <(compgen -W "$(_flic_checkpoints)" -f -- "$cur") ;;
        track) mapfile -t COMPREPLY < <(compgen -W "$(xl list 2>/dev/null |
                awk 'NR > 1 && $1 != "Domain-0" { print $1 }')" -- "$cur") ;;
        push) mapfile -t COMPREPLY < <(compgen -W "$(_flic_checkpoints)" -A hostname -- "$cur") ;;
        pull) mapfile -t COMPREPLY < <(compgen -A hostname -- "$cur") ;;
        claim) mapfile -t COMPREPLY < <(compgen -W "$(_flic_checkpoints | sed 's/@[0-9]*$//' | sort -u)" -- "$cur") ;;
        untrack | wss) mapfile -t COMPREPLY < <(compgen -W "$(_flic_tracked)" -- "$cur") ;;
        protect) mapfile -t COMPREPLY < <(compgen -W "$(xl list 2>/dev/null | awk 'NR > 2 { print $1 }')" -- "$cur") ;;
        unprotect) mapfile -t COMPREPLY < <(compgen -W "$(flic status 2>/dev/null |
                awk '/^[^ ]/ { on = /^protected/; next } on && $1 != "guest" { print $1 }')" -- "$cur") ;;
        cancel) mapfile -t COMPREPLY < <(compgen -W "$(flic status 2>/dev/null |
                awk '/^$/ { exit } /^operations/ { on = 1; next } on && $1 != "none" { print $1 }')" -- "$cur") ;;
        *) COMPREPLY=() ;;
    esac
}

# '@' starts a new word in bash unless it is taken out of the breaks
COMP_WORDBREAKS=${COMP_WORDBREAKS//@/}
complete -F _flic flic
