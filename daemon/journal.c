/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* journal - what each operation did, in the index and as one log line. */
#include "common/log.h"
#include "daemon/daemon.h"

#include <stdlib.h>

static void log_line(const struct ix_entry *entry)
{
    unsigned long long seq = (unsigned long long)entry->seq, ms = (unsigned long long)(entry->took_ns / 1000000);

    if (!entry->guest_name[0] && entry->code)   /* about the store as a whole */
        flic_warn("%s failed: %s", entry->verb, entry->message);
    else if (!entry->guest_name[0])
        flic_info("%s done in %llu ms", entry->verb, ms);
    else if (entry->code)
        flic_warn("%s '%s' failed: %s", entry->verb, entry->guest_name, entry->message);
    else
        flic_info("%s '%s' @%llu done in %llu ms", entry->verb, entry->guest_name, seq, ms);
}

static void keep_entry(struct fd_daemon *daemon, const struct ix_entry *entry)
{
    struct ix_index *index = ck_index(daemon->store);
    struct flic_err err = { 0 };

    ck_work_begin(daemon->store);
    if (ix_journal_add(index, entry, &err))
        flic_warn("the journal entry of that was not written: %s", err.text);
    else if (daemon->conf.journal_entries && ix_journal_trim(index, (uint32_t)daemon->conf.journal_entries, &err))
        flic_warn("the journal was not shortened to journal_entries: %s", err.text);
    ck_work_end(daemon->store);
}

void fd_journal(struct fd_daemon *daemon, struct ix_entry *entry, json_t *figures)
{
    char *text = figures ? json_dumps(figures, JSON_COMPACT) : NULL;

    entry->figures = text ? text : "{}";
    if (!entry->message)
        entry->message = "";
    log_line(entry);
    if (daemon->store)
        keep_entry(daemon, entry);
    free(text);
    json_decref(figures);
}
