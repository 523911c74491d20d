# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 The FLIC authors
#
# Turns SQL files into a C header: awk -f embed.awk 0001_*.sql ... session.sql statements.sql > sql.h
#   NNNN_name.sql   one element of SQL_MIGRATIONS each, in the order given
#   session.sql     SQL_SESSION
#   others          SQL_OPEN(X), SQL_STATEMENTS(X): X(name, "text") for each "-- name:"
# Comments and empty lines stay behind.

function quoted(text)
{
    gsub(/\\/, "\\\\", text)
    gsub(/"/, "\\\"", text)
    return " \\\n    \"" text "\\n\""
}

function close_define()
{
    if (in_statement)
        printf ")"
    in_statement = 0
    if (open_define)
        printf "\n"
    open_define = 0
}

BEGIN {
    print "/* Made from schema/sql by embed.awk: change that. */"
}

FNR == 1 {
    close_define()
    base = FILENAME
    sub(/.*\//, "", base)
    if (base ~ /^[0-9][0-9][0-9][0-9]_/) {
        printf "#define SQL_MIGRATION_%d", ++migrations
        if (substr(base, 1, 4) + 0 != migrations) {
            print "migrations are not numbered without a gap: " base > "/dev/stderr"
            failed = 1
            exit 1
        }
    } else if (base == "session.sql") {
        printf "#define SQL_SESSION"
    } else {
        sub(/\.sql$/, "", base)
        printf "#define SQL_%s(X)", toupper(base)
    }
    open_define = 1
}

/^-- name: / {
    if (in_statement)
        printf ")"
    printf " \\\n    X(%s,", $3
    in_statement = 1
    next
}

/^[ \t]*--/ || /^[ \t]*$/ {
    next
}

{
    printf "%s", quoted($0)
}

END {
    if (failed)
        exit 1
    close_define()
    printf "#define SQL_MIGRATIONS"
    for (i = 1; i <= migrations; i++)
        printf " SQL_MIGRATION_%d,", i
    printf "\n"
}
