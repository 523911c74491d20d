/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * log - one line per event on stderr, for people and for the journal.
 *
 * Under systemd (JOURNAL_STREAM set) lines carry the "<N>" priority prefix; else a plain level word.
 * Messages are lower case without a full stop. Library code never logs above debug: it returns a
 * flic_err, and the one who ends the operation logs it once. Thread-safe; preserves errno.
 */
#ifndef FLIC_COMMON_LOG_H
#define FLIC_COMMON_LOG_H

enum flic_log_level { FLIC_LOG_ERROR, FLIC_LOG_WARNING, FLIC_LOG_INFO, FLIC_LOG_DEBUG };

/* Lines above `max` are dropped; the default is FLIC_LOG_INFO. Not thread-safe: call first. */
void flic_log_open(enum flic_log_level max);

void flic_log(enum flic_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define flic_error(...) flic_log(FLIC_LOG_ERROR, __VA_ARGS__)
#define flic_warn(...) flic_log(FLIC_LOG_WARNING, __VA_ARGS__)
#define flic_info(...) flic_log(FLIC_LOG_INFO, __VA_ARGS__)
#define flic_debug(...) flic_log(FLIC_LOG_DEBUG, __VA_ARGS__)

#endif
