/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "libxl-ext/flicxl_op.h"

#include "common/hex.h"
#include "common/io.h"
#include "common/mem.h"
#include "libxl-ext/inplace.h"
#include "libxl-ext/reference.h"

#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* In libxl's stream: its header (16 bytes) and the header of the record that holds the helper's bytes (8). */
#define STREAM_REFERENCE 24
#define STREAM_RECORDS (STREAM_REFERENCE + REFERENCE_SIZE)
#define STREAM_END 8            /* the last record, which has no content */

struct save {
    struct op op;
    uint32_t domid;
    const struct flicxl_save_params *params;
    char *json;                 /* the domain's configuration */
    char file[PATH_MAX];        /* absolute; "" without FILE */
    void *previous;             /* what FILE held before: put back when the save fails after it was written */
    size_t previous_len;
    void *written;              /* what we put into FILE; NULL: nothing yet */
    size_t written_len;
    int stream;                 /* libxl's stream, in memory */
};

void flicxl_save_params_init(struct flicxl_save_params *params)
{
    memset(params, 0, sizeof(*params));
}

/* ---- FILE ---- */

static int make_absolute(const char *path, char *out, size_t room, struct flic_err *err)
{
    char cwd[PATH_MAX] = "";
    int n;

    if (*path != '/' && !getcwd(cwd, sizeof(cwd)))
        return flic_err_errno(err, "find the working folder");
    n = *path == '/' ? snprintf(out, room, "%s", path) : snprintf(out, room, "%s/%s", cwd, path);
    if (n < 0 || (size_t)n >= room)
        return flic_err_set(err, -ENAMETOOLONG, "'%s': path too long", path);
    return 0;
}

/* Known before the guest is touched: the folder takes a file, and what stands there now is no stranger's. */
static int check_file(struct save *s, struct flic_err *err)
{
    char copy[PATH_MAX];
    struct stat st;
    int rc;

    if (!s->params->file)
        return 0;
    rc = make_absolute(s->params->file, s->file, sizeof(s->file), err);
    if (rc)
        return rc;
    memcpy(copy, s->file, sizeof(copy));
    if (access(dirname(copy), W_OK | X_OK))
        return flic_err_errno(err, "'%s' cannot be written", s->file);
    if (lstat(s->file, &st))
        return 0;
    if (!S_ISREG(st.st_mode) || !flicxl_is_reference_file(s->file))
        return flic_err_set(err, FLIC_E_REFUSED, "'%s' exists and is not a FLIC reference: remove it or name another file",
                            s->file);
    return flic_load_file(s->file, REFERENCE_FILE_MAX, &s->previous, &s->previous_len, err);
}

static int write_file(struct save *s, struct flic_err *err)
{
    uint8_t reference[REFERENCE_SIZE];
    int rc = flic_pread_all(s->stream, reference, sizeof(reference), STREAM_REFERENCE);

    if (rc)
        return flic_err_set(err, FLIC_E_PROTOCOL, "libxl's stream holds no reference");
    rc = reference_check(reference, err);
    if (!rc && *s->file)
        rc = reference_file_build(reference, s->json, &s->written, &s->written_len, err);
    if (!rc && *s->file)
        rc = flic_publish_among_others(s->file, s->written, s->written_len, err);
    return rc;
}

/* What libxl wrote behind the helper's bytes, if that is more than its end: the device model, which flicd keeps with the checkpoint. */
static int add_records(const struct save *s, json_t *msg, struct flic_err *err)
{
    off_t end = lseek(s->stream, 0, SEEK_END);
    size_t len = end > STREAM_RECORDS ? (size_t)end - STREAM_RECORDS : 0;
    FLIC_AUTO_FREE char *bytes = NULL, *hex = NULL;
    int rc;

    if (len <= STREAM_END)
        return 0;
    if (len > FLICXL_RECORDS_MAX)
        return flic_err_set(err, FLIC_E_REFUSED, "the device model of domain %u has %zu bytes of state, a checkpoint keeps %u: use 'xl save' "
                            "without --flic", s->domid, len, FLICXL_RECORDS_MAX);
    bytes = malloc(len);
    hex = malloc(FLIC_HEX_TEXT(len));
    if (!bytes || !hex)
        return flic_err_set(err, -ENOMEM, "keep the device model of domain %u: out of memory", s->domid);
    rc = flic_pread_all(s->stream, bytes, len, STREAM_RECORDS);
    if (rc)
        return flic_err_set(err, rc, "read libxl's stream: %s", strerror(-rc));
    flic_to_hex(bytes, len, hex);
    return json_object_set_new(msg, "records", json_string(hex)) ? flic_err_set(err, -ENOMEM, "domain %u: out of memory", s->domid) : 0;
}

static int publish(struct save *s, struct flic_err *err)
{
    json_t *msg = json_pack("{s:s}", "op", "publish");
    int rc = add_records(s, msg, err);

    if (!rc)
        return op_tell_more(&s->op, msg, err);
    json_decref(msg);
    return rc;
}

/* Another save may have been given the same FILE, and have written it since. */
static bool is_ours(const struct save *s)
{
    FLIC_AUTO_FREE void *bytes = NULL;
    size_t len;

    return s->written && !flic_load_file(s->file, REFERENCE_FILE_MAX, &bytes, &len, NULL) &&
           len == s->written_len && !memcmp(bytes, s->written, len);
}

static void take_file_back(const struct save *s)
{
    if (!is_ours(s))
        return;
    if (s->previous) {
        (void)flic_publish_among_others(s->file, s->previous, s->previous_len, NULL);
        return;
    }
    (void)unlink(s->file);
    (void)flic_sync_parent(s->file, NULL);
}

/* ---- the guest ---- */

/* After a published checkpoint. Here a failure loses nothing. */
static int dispose(struct save *s, struct flic_err *err)
{
    int rc;

    if (s->params->after == FLICXL_AFTER_RUN)   /* flicd resumed it; by now another save may have suspended it again */
        return 0;
    if (s->params->after == FLICXL_AFTER_PAUSE) {
        rc = libxl_domain_pause(s->op.ctx, s->domid, NULL);
        return rc ? flic_err_set(err, FLIC_E_XEN, "the checkpoint is safe, but domain %u could not be paused (error %d)",
                                 s->domid, rc)
                  : op_go_on(&s->op, s->domid, err);
    }
    rc = libxl_domain_destroy(s->op.ctx, s->domid, NULL);
    if (rc)
        return flic_err_set(err, FLIC_E_XEN, "the checkpoint is safe, but domain %u could not be destroyed (error %d): run "
                            "'xl destroy %u'", s->domid, rc, s->domid);
    return 0;
}

/* ---- the steps ---- */

static json_t *request(const struct save *s)
{
    static const char *const after[] = {
        [FLICXL_AFTER_DESTROY] = "destroy", [FLICXL_AFTER_PAUSE] = "pause", [FLICXL_AFTER_RUN] = "run",
    };

    return json_pack("{s:s, s:I, s:s, s:I, s:b, s:s, s:b, s:s?}", "op", "save", "domid", (json_int_t)s->domid, "config", s->json,
                     "timeout_s", (json_int_t)s->params->timeout_s, "ram_only", (int)s->params->ram_only, "after",
                     after[s->params->after], "protect", (int)s->params->protect, "file", *s->file ? s->file : NULL);
}

static int start(struct op *op, void *arg)
{
    struct save *s = arg;

    return libxl_domain_suspend(op->ctx, s->domid, s->stream, 0, &op->how);
}

/* Everything until flicd has published. */
static int capture_and_publish(struct save *s, struct flic_err *err)
{
    json_t *ready = NULL;
    int rc = op_open(&s->op, request(s), &ready, err);

    if (rc)
        return rc;
    json_decref(ready);
    rc = op_run(&s->op, start, s, err);
    if (!rc)
        rc = write_file(s, err);
    if (!rc)
        rc = publish(s, err);
    if (rc) {
        op_abort(&s->op, err);
        take_file_back(s);
        if (!s->op.resumed)     /* else it runs, and whoever suspends it now is not us */
            (void)op_go_on(&s->op, s->domid, err);
        rc = err->code;
    }
    return rc;
}

int flicxl_domain_save(libxl_ctx *ctx, uint32_t domid, const struct flicxl_save_params *params,
                       struct flicxl_info *info, const libxl_asyncop_how *ao_how)
{
    struct save s = { .domid = domid, .params = params, .stream = -1 };
    struct op_limits limits = { params->socket, params->cancel, params->progress, params->user, params->timeout_s };
    struct flic_err err = { 0 };
    int rc = 0;

    memset(info, 0, sizeof(*info));
    info->domid = domid;
    op_init(&s.op, ctx, &limits);
    if ((unsigned)params->after > FLICXL_AFTER_RUN)
        rc = flic_err_set(&err, FLIC_E_USAGE, "flicxl_domain_save(): no such 'after'");
    if (!rc && ao_how)
        rc = flic_err_set(&err, FLIC_E_USAGE, "flicxl_domain_save() is synchronous: ao_how must be NULL");
    if (!rc)
        rc = check_file(&s, &err);
    if (!rc)
        rc = op_read_config(&s.op, domid, &s.json, &err);
    if (!rc) {
        s.stream = memfd_create("flic-stream", MFD_CLOEXEC);
        rc = s.stream < 0 ? flic_err_errno(&err, "make a stream for libxl") : capture_and_publish(&s, &err);
    }
    if (!rc)
        rc = dispose(&s, &err);
    if (s.stream >= 0)
        (void)close(s.stream);
    rc = op_result(&s.op, rc, &err, info);
    op_fini(&s.op);
    free(s.json);
    free(s.previous);
    free(s.written);
    return rc;
}
