# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
# bash completion of FLIC's xl: save, restore and migrate with --flic; for the rest the stock xl's verbs.

_xl_flic_options() {
    case $1 in
        save) echo '--flic --timeout --ram-only --quiet --json --socket --help -c -p' ;;
        migrate) echo '--flic --auto-converge --disks --max-downtime --timeout --quiet --json --socket --help -s' ;;
        migrate-receive) echo '--flic --settle --socket --help' ;;
        restore) echo '--flic --clone --timeout --ram-only --quiet --json --socket --help -p -F -e' ;;
    esac
}

_xl_flic() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} verb=${COMP_WORDS[1]-}

    case $prev in
        --socket) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
        --disks) mapfile -t COMPREPLY < <(compgen -W 'copy shared' -- "$cur"); return ;;
        --timeout | --max-downtime | --settle | -s) COMPREPLY=(); return ;;
    esac
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W "$(xl help 2>/dev/null | awk '/^ [^ ]/ { print $1 }')" -- "$cur")
    elif [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_xl_flic_options "$verb")" -- "$cur")
    elif [[ $verb == restore && " ${COMP_WORDS[*]} " == *' --flic '* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(flic list 2>/dev/null | awk 'NR > 1 { print $1 }')" -f -- "$cur")
    elif [[ $verb == restore ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    else
        mapfile -t COMPREPLY < <(compgen -W "$(xl list 2>/dev/null | awk 'NR > 2 { print $1 }')" -f -- "$cur")
    fi
}

COMP_WORDBREAKS=${COMP_WORDBREAKS//@/}
complete -F _xl_flic xl
