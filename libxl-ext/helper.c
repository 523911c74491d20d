/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * flic-save-helper - libxl's save helper that hands the work to flicd.
 *
 * libxl runs it (LIBXL_SAVE_HELPER) with the stock helper's arguments and protocol (helper_wire.h). It joins the operation
 * that libflicxl opened ($FLIC_OPERATION, $FLIC_SOCKET) and carries words between the two; no guest page passes through. For a guest
 * that is libxc's it runs libxc's save or restore against a second connection to flicd (helper_filter.h). Every
 * end is told to libxl: complete(0) or complete(-1, errno) with a logged sentence. Started without an operation, or for
 * anything it does not do (Remus, COLO, a stock stream), it becomes the stock helper.
 *
 * SIGTERM, which libxl sends when the caller gives up, cancels. SIGINT is ignored: Ctrl-C reaches the whole process group,
 * and it is the caller who decides what it means.
 */
#include "common/io.h"
#include "common/talk.h"
#include "libxl-ext/helper_filter.h"
#include "libxl-ext/helper_wire.h"
#include "libxl-ext/reference.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xentoollog.h>

#define TICK_MS 300             /* how soon a cancel or libxl's death is seen */

struct job {
    bool restore;
    int stream_fd;
    uint32_t domid;
    uint32_t store_port, store_domid, console_port, console_domid;      /* restore only */
    unsigned cbflags;
    unsigned long stream_type;
    const char *operation;
    struct flic_talk *talk;
    json_t *early;              /* flicd's answer that came while libxc was at work */
    bool by_libxc;              /* then these are what libxc said: */
    uint64_t store_gfn, console_gfn;
};

static volatile sig_atomic_t cancelled;
static volatile sig_atomic_t libxc_stream = -1;     /* while libxc is at work */

/* libxc looks at nothing but its stream. */
static void on_term(int sig)
{
    int saved = errno;

    (void)sig;
    cancelled = 1;
    if (libxc_stream >= 0)
        (void)shutdown(libxc_stream, SHUT_RDWR);
    errno = saved;
}

/* ---- the command line ---- */

static bool number(const char *text, unsigned long max, unsigned long *ret)
{
    char *end;

    errno = 0;
    *ret = strtoul(text, &end, 10);
    return *text && !*end && !errno && *ret <= max;
}

/* --save-domain STREAM RECV DOMID XCFLAGS CBFLAGS TYPE
 * --restore-domain STREAM SEND DOMID STORE_PORT STORE_DOMID CONSOLE_PORT CONSOLE_DOMID CBFLAGS TYPE */
static bool parse(int argc, char **argv, struct job *job)
{
    unsigned long v[10] = { 0 };
    bool save = argc == 8 && !strcmp(argv[1], "--save-domain");

    job->restore = argc == 11 && !strcmp(argv[1], "--restore-domain");
    if (!save && !job->restore)
        return false;
    for (int i = 2; i < argc; i++)
        if (i != 3 && !number(argv[i], UINT32_MAX, &v[i - 2]))     /* argv[3], the way back, may be -1 */
            return false;
    job->stream_fd = (int)v[0];
    job->domid = (uint32_t)v[2];
    job->stream_type = v[argc - 3];
    job->cbflags = (unsigned)v[argc - 4];
    job->store_port = (uint32_t)v[3];
    job->store_domid = (uint32_t)v[4];
    job->console_port = (uint32_t)v[5];
    job->console_domid = (uint32_t)v[6];
    return true;
}

/* ---- the stock helper ---- */

static bool read_number(const char *path, unsigned *ret)
{
    FILE *f = fopen(path, "re");
    bool ok = f && fscanf(f, "%u", ret) == 1;

    if (f)
        (void)fclose(f);
    return ok;
}

/* Debian keeps the tools of each Xen version in a folder of their own, others in one. Returns when there is none. */
static void exec_stock(char **argv)
{
    char versioned[128] = "";
    const char *paths[] = { versioned, "/usr/libexec/xen/bin/libxl-save-helper", "/usr/lib/xen/bin/libxl-save-helper" };
    unsigned major, minor;

    if (read_number("/sys/hypervisor/version/major", &major) && read_number("/sys/hypervisor/version/minor", &minor))
        (void)snprintf(versioned, sizeof(versioned), "/usr/lib/xen-%u.%u/bin/libxl-save-helper", major, minor);
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        if (*paths[i])
            (void)execv(paths[i], argv);
    (void)fprintf(stderr, "flic-save-helper: the stock libxl-save-helper was not found\n");
}

/* libxc's own streams begin with eight bytes of 0xff. Only a file can be looked into without taking from it. */
static bool is_stock_stream(int fd)
{
    uint8_t start[8];
    off_t at = lseek(fd, 0, SEEK_CUR);

    if (at < 0 || pread(fd, start, sizeof(start), at) != (ssize_t)sizeof(start))
        return false;
    for (size_t i = 0; i < sizeof(start); i++)
        if (start[i] != 0xff)
            return false;
    return true;
}

/* ---- flicd ---- */

static int errno_of(int code)
{
    switch (code) {
    case FLIC_E_CANCELLED:
        return ECANCELED;
    case FLIC_E_TIMEOUT:
        return ETIMEDOUT;
    case FLIC_E_NOSPACE:
        return ENOSPC;
    case FLIC_E_NODAEMON:
        return ECONNREFUSED;
    default:
        return code > -1000 && code < 0 ? -code : EIO;
    }
}

static bool libxl_is_gone(void)
{
    struct pollfd p = { .fd = STDIN_FILENO, .events = 0 };

    return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR | POLLNVAL));
}

/* The next message, or why there is none. */
static int next(struct flic_talk *talk, json_t **ret_msg, struct flic_err *err)
{
    for (;;) {
        int rc = flic_talk_next(talk, TICK_MS, ret_msg, err);

        if (cancelled) {
            if (!rc)
                json_decref(*ret_msg);
            return flic_err_set(err, FLIC_E_CANCELLED, "cancelled");
        }
        if (rc != FLIC_E_TIMEOUT && rc != -EINTR)
            return rc;
        if (libxl_is_gone())
            return flic_err_set(err, FLIC_E_CANCELLED, "the program that asked for this is gone");
    }
}

static void relay_progress(const json_t *event)
{
    const char *phase = json_string_value(json_object_get(event, "phase"));

    (void)wire_progress(phase ? phase : "", (uint64_t)json_integer_value(json_object_get(event, "done")),
                        (uint64_t)json_integer_value(json_object_get(event, "total")));
}

/* libxl cannot be interrupted in this: a message that ends the helper while libxl still waits for the guest would confuse
 * it. It answers within its own limits, and soon when it is itself aborted. */
static int relay_suspend(struct flic_talk *talk, struct flic_err *err)
{
    int rc, suspended = wire_suspend();

    if (suspended < 0)
        return flic_err_set(err, FLIC_E_CANCELLED, "the program that asked for this is gone");
    rc = flic_talk_send(talk, json_pack("{s:s, s:b}", "op", "suspended", "ok", suspended), err);
    return rc ? rc : suspended;
}

/* ---- guests that are libxc's ---- */

/* libxc asks for the suspend; flicd has it done when it is ready. */
static int suspend_for_libxc(void *arg)
{
    struct job *job = arg;
    struct flic_err err;
    const char *event;
    json_t *msg;
    bool wished;

    if (job->early || next(job->talk, &msg, &err))
        return 0;
    if (!flic_talk_is_event(msg, &event)) {
        job->early = msg;
        return 0;
    }
    wished = !strcmp(event, "suspend");
    json_decref(msg);
    return wished ? relay_suspend(job->talk, &err) == 1 : 0;
}

static bool is_cancelled(void *arg)
{
    (void)arg;
    return cancelled;
}

/* A second connection to flicd that carries libxc's stream: gives *ret_fd. */
static int open_stream(const struct job *job, int *ret_fd, struct flic_err *err)
{
    struct flic_talk *talk;
    int fd, rc = flic_talk_open(NULL, &talk, err);

    if (rc)
        return rc;
    rc = flic_talk_send(talk, json_pack("{s:s, s:s}", "op", "tunnel", "operation", job->operation), err);
    fd = rc ? -1 : dup(flic_talk_fd(talk));
    flic_talk_close(talk);
    if (!rc && fd < 0)
        rc = flic_err_errno(err, "open a stream to flicd");
    *ret_fd = fd;
    return rc;
}

static int run_libxc(struct job *job, const json_t *event, struct flic_err *err)
{
    struct filter f = {
        .domid = job->domid, .cbflags = job->cbflags, .suspend = suspend_for_libxc, .cancelled = is_cancelled, .arg = job,
        .rounds = (uint64_t)json_integer_value(json_object_get(event, "rounds")),
        .stop_pages = (uint64_t)json_integer_value(json_object_get(event, "stop_pages")),
        .store_port = job->store_port, .store_domid = job->store_domid, .console_port = job->console_port,
        .console_domid = job->console_domid,
    };
    int rc = open_stream(job, &f.fd, err);

    if (rc)
        return rc;
    libxc_stream = f.fd;
    if (!cancelled)
        rc = job->restore ? filter_restore(&f, err) : filter_save(&f, err);
    libxc_stream = -1;
    (void)close(f.fd);
    job->by_libxc = true;
    job->store_gfn = f.store_gfn;
    job->console_gfn = f.console_gfn;
    return rc;
}

/* ---- joining ---- */

/* The next message that is not one of those that only the moment is of interest of. */
static int hear(struct job *job, json_t **ret_msg, struct flic_err *err)
{
    if (!job->early)
        return next(job->talk, ret_msg, err);
    *ret_msg = job->early;
    job->early = NULL;
    return 0;
}

/* flicd's answer; libxc's failure counts more than its consent, and its reason more than libxc's. */
static int outcome(json_t *msg, const struct flic_err *libxc, json_t **ret_answer, struct flic_err *err)
{
    int rc = flic_talk_outcome(msg, err);

    if (!rc && libxc->code) {
        *err = *libxc;
        rc = libxc->code;
    }
    if (rc)
        json_decref(msg);
    else
        *ret_answer = msg;
    return rc;
}

/* Joins with `request` (taken) and does what events ask for until flicd's answer, which it gives. */
static int join(struct job *job, json_t *request, json_t **ret_answer, struct flic_err *err)
{
    struct flic_err libxc = { 0 };
    const char *event;
    json_t *msg;
    int rc = flic_talk_send(job->talk, request, err);

    while (!rc) {
        rc = hear(job, &msg, err);
        if (rc)
            break;
        if (!flic_talk_is_event(msg, &event))
            return outcome(msg, &libxc, ret_answer, err);
        if (!strcmp(event, "progress"))
            relay_progress(msg);
        if (!strcmp(event, "suspend") && (rc = relay_suspend(job->talk, err)) > 0)
            rc = 0;
        if (!strcmp(event, "filter"))
            (void)run_libxc(job, msg, &libxc);
        json_decref(msg);
    }
    return rc;
}

/* ---- the two jobs ---- */

static int save(struct job *job, struct flic_err *err)
{
    uint8_t reference[REFERENCE_SIZE];
    json_t *answer;
    int rc = join(job, json_pack("{s:s, s:s, s:I, s:s}", "op", "join", "operation", job->operation, "domid",
                                  (json_int_t)job->domid, "role", "save"), &answer, err);

    if (rc)
        return rc;
    if (!reference_from_hex(json_string_value(json_object_get(answer, "reference")), reference))
        rc = flic_err_set(err, FLIC_E_PROTOCOL, "flicd gave no reference");
    json_decref(answer);
    if (!rc)
        rc = reference_check(reference, err);
    if (rc)
        return rc;
    rc = flic_write_all(job->stream_fd, reference, sizeof(reference));
    return rc ? flic_err_set(err, rc, "write the reference to libxl's stream: %s", strerror(-rc)) : 0;
}

static int read_reference(const struct job *job, uint8_t reference[REFERENCE_SIZE], struct flic_err *err)
{
    int rc = flic_read_all(job->stream_fd, reference, REFERENCE_SIZE);

    if (rc)
        return flic_err_set(err, FLIC_E_DAMAGED, "the stream ends inside the reference");
    return reference_check(reference, err);
}

static int restore(struct job *job, struct flic_err *err)
{
    uint8_t reference[REFERENCE_SIZE];
    char hex[REFERENCE_HEX];
    json_t *answer, *request;
    json_int_t store_gfn = 0, console_gfn = 0;
    int rc = read_reference(job, reference, err);

    if (rc)
        return rc;
    reference_to_hex(reference, hex);
    request = json_pack("{s:s, s:s, s:I, s:s, s:s, s:I, s:I, s:I, s:I}", "op", "join", "operation", job->operation,
                        "domid", (json_int_t)job->domid, "role", "restore", "reference", hex,
                        "store_port", (json_int_t)job->store_port, "store_domid", (json_int_t)job->store_domid,
                        "console_port", (json_int_t)job->console_port,
                        "console_domid", (json_int_t)job->console_domid);
    rc = join(job, request, &answer, err);
    if (rc)
        return rc;
    store_gfn = (json_int_t)job->store_gfn;
    console_gfn = (json_int_t)job->console_gfn;
    if (!job->by_libxc && json_unpack(answer, "{s:I, s:I}", "store_gfn", &store_gfn, "console_gfn", &console_gfn))
        rc = flic_err_set(err, FLIC_E_PROTOCOL, "flicd did not say where the rings are");
    json_decref(answer);
    if (!rc && wire_restore_results((uint64_t)store_gfn, (uint64_t)console_gfn))
        rc = flic_err_set(err, FLIC_E_CANCELLED, "the program that asked for this is gone");
    return rc;
}

static int run(struct job *job, struct flic_err *err)
{
    int rc = flic_talk_open(NULL, &job->talk, err);

    if (!rc)
        rc = job->restore ? restore(job, err) : save(job, err);
    json_decref(job->early);
    flic_talk_close(job->talk);
    return rc;
}

static void set_signals(void)
{
    struct sigaction term = { .sa_handler = on_term };

    (void)sigaction(SIGTERM, &term, NULL);      /* these cannot fail for valid signals */
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGPIPE, SIG_IGN);
}

int main(int argc, char **argv)
{
    struct flic_err err = { 0 };
    struct job job = { 0 };
    int rc;

    job.operation = getenv("FLIC_OPERATION");
    if (!job.operation || !*job.operation || !parse(argc, argv, &job) || job.stream_type != 0 ||
        (job.restore && is_stock_stream(job.stream_fd))) {
        exec_stock(argv);
        return 255;
    }
    set_signals();
    rc = run(&job, &err);
    if (rc) {
        (void)wire_log(XTL_ERROR, 0, err.text);
        rc = wire_complete(-1, errno_of(rc));
    } else {
        rc = wire_complete(0, 0);
    }
    return rc ? 1 : 0;
}
