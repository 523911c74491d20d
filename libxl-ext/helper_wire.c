/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "libxl-ext/helper_wire.h"

#include "common/io.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX 4000u
#define BODY_MAX 8192u

enum number { MSG_LOG = 1, MSG_PROGRESS = 2, MSG_SUSPEND = 3, MSG_LOG_DIRTY = 7,
              MSG_STATIC_DATA_DONE = WIRE_STATIC_DATA_DONE, MSG_RESTORE_RESULTS = 9, MSG_COMPLETE = 10 };

struct body {
    uint16_t len;
    uint8_t bytes[BODY_MAX];
};

static void put(struct body *b, const void *data, size_t len)
{
    if (b->len + len > sizeof(b->bytes))
        return;                 /* cannot be: two texts of TEXT_MAX and a few integers fit */
    memcpy(b->bytes + b->len, data, len);
    b->len = (uint16_t)(b->len + len);
}

static struct body begin(enum number number)
{
    struct body b = { .len = 0 };
    uint16_t n = (uint16_t)number;

    put(&b, &n, sizeof(n));
    return b;
}

static void put_text(struct body *b, const char *text)
{
    size_t len = strnlen(text, TEXT_MAX - 1);
    uint32_t with_nul = (uint32_t)len + 1;

    put(b, &with_nul, sizeof(with_nul));
    put(b, text, len);
    put(b, "", 1);
}

/* One write: libxl reads a message as a whole, and nobody else writes to the pipe. */
static int say(const struct body *b)
{
    uint8_t all[sizeof(b->len) + BODY_MAX];

    memcpy(all, &b->len, sizeof(b->len));
    memcpy(all + sizeof(b->len), b->bytes, b->len);
    return flic_write_all(STDOUT_FILENO, all, sizeof(b->len) + b->len);
}

static int ask(const struct body *b, int *ret_answer)
{
    int rc = say(b);

    return rc ? rc : flic_read_all(STDIN_FILENO, ret_answer, sizeof(*ret_answer));
}

int wire_log(int level, int errnoval, const char *text)
{
    struct body b = begin(MSG_LOG);
    uint32_t l = (uint32_t)level, e = errnoval ? (uint32_t)errnoval : UINT32_MAX;   /* -1: none */

    put(&b, &l, sizeof(l));
    put(&b, &e, sizeof(e));
    put_text(&b, "flic");
    put_text(&b, text);
    return say(&b);
}

int wire_progress(const char *what, uint64_t done, uint64_t total)
{
    struct body b = begin(MSG_PROGRESS);
    unsigned long d = done, t = total;

    put_text(&b, "flic");
    put_text(&b, what);
    put(&b, &d, sizeof(d));
    put(&b, &t, sizeof(t));
    return say(&b);
}

int wire_suspend(void)
{
    struct body b = begin(MSG_SUSPEND);
    int answer, rc = ask(&b, &answer);

    return rc ? rc : answer == 1;
}

int wire_log_dirty(uint32_t domid, unsigned enable, int *ret_answer)
{
    struct body b = begin(MSG_LOG_DIRTY);

    put(&b, &domid, sizeof(domid));
    put(&b, &enable, sizeof(enable));
    return ask(&b, ret_answer);
}

int wire_static_data_done(unsigned missing, int *ret_answer)
{
    struct body b = begin(MSG_STATIC_DATA_DONE);

    put(&b, &missing, sizeof(missing));
    return ask(&b, ret_answer);
}

int wire_restore_results(uint64_t store_gfn, uint64_t console_gfn)
{
    struct body b = begin(MSG_RESTORE_RESULTS);

    put(&b, &store_gfn, sizeof(store_gfn));
    put(&b, &console_gfn, sizeof(console_gfn));
    return say(&b);
}

int wire_complete(int retval, int errnoval)
{
    struct body b = begin(MSG_COMPLETE);
    int answer;

    put(&b, &retval, sizeof(retval));
    put(&b, &errnoval, sizeof(errnoval));
    return ask(&b, &answer);
}
