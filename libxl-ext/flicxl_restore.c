/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "libxl-ext/flicxl_op.h"

#include "common/hex.h"
#include "common/io.h"
#include "common/mem.h"
#include "libxl-ext/reference.h"

#include <endian.h>
#include <fcntl.h>
#include <libxl_utils.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct restore {
    struct op op;
    const struct flicxl_restore_params *params;
    const struct flicxl_receive_params *arrival;    /* NULL: it is a checkpoint that is restored */
    libxl_domain_config config;
    libxl_domain_restore_params libxl_params;
    uint32_t domid;
    int stream;
    bool told;                  /* flicd, that libxl is done */
};

void flicxl_restore_params_init(struct flicxl_restore_params *params)
{
    memset(params, 0, sizeof(*params));
}

bool flicxl_is_reference_file(const char *path)
{
    FLIC_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char magic[8];

    return fd >= 0 && pread(fd, magic, sizeof(magic), 0) == (ssize_t)sizeof(magic) &&
           reference_has_magic(magic, sizeof(magic));
}

/* ---- what to restore ---- */

static json_t *base_request(const struct restore *r)
{
    return json_pack("{s:s, s:b, s:b, s:b}", "op", "restore", "clone", (int)r->params->clone, "ram_only",
                     (int)r->params->ram_only, "paused", (int)r->params->paused);
}

static int request_by_file(const struct restore *r, json_t **ret_request, struct flic_err *err)
{
    FLIC_AUTO_FREE void *bytes = NULL;
    uint8_t reference[REFERENCE_SIZE];
    char hex[REFERENCE_HEX];
    const char *json;
    size_t len, json_len;
    int rc = flic_load_file(r->params->what, REFERENCE_FILE_MAX, &bytes, &len, err);

    if (!rc)
        rc = reference_file_parse(bytes, len, reference, &json, &json_len, err);
    if (rc)
        return flic_err_wrap(err, rc, "'%s'", r->params->what);
    reference_to_hex(reference, hex);
    *ret_request = base_request(r);
    (void)json_object_set_new(*ret_request, "reference", json_string(hex));
    return 0;
}

static int request_by_name(const struct restore *r, json_t **ret_request, struct flic_err *err)
{
    char domain[256];
    uint64_t seq;
    int rc = reference_parse_name(r->params->what, domain, sizeof(domain), &seq, err);

    if (rc)
        return rc;
    *ret_request = base_request(r);
    (void)json_object_set_new(*ret_request, "domain", json_string(domain));
    if (seq)
        (void)json_object_set_new(*ret_request, "seq", json_integer((json_int_t)seq));
    return 0;
}

static int make_request(const struct restore *r, json_t **ret_request, struct flic_err *err)
{
    const char *what = r->params->what;

    if (!what)
        return flic_err_set(err, FLIC_E_USAGE, "name a guest, a checkpoint (GUEST@N) or a file");
    return reference_is_file(what) ? request_by_file(r, ret_request, err) : request_by_name(r, ret_request, err);
}

/* ---- libxl's stream around the reference ---- */

/* As libxl's migration stream v2 (docs/specs/libxl-migration-stream of Xen) has it: a big-endian header, the record
 * LIBXC_CONTEXT of length 0 behind which the helper's bytes follow, and the record END; or, where there is a device model, what libxl
 * wrote there itself. */
static int make_stream(struct restore *r, const uint8_t reference[REFERENCE_SIZE], const void *records, size_t len, struct flic_err *err)
{
    struct {
        uint64_t ident;
        uint32_t version, options;
        uint32_t context_type, context_length;
        uint8_t reference[REFERENCE_SIZE];
        uint32_t end_type, end_length;
    } all = { .ident = htobe64(UINT64_C(0x4c6962786c466d74)), .version = htobe32(2), .context_type = 1 };
    int rc;

    _Static_assert(sizeof(all) == 16 + 8 + REFERENCE_SIZE + 8, "the stream has no holes");
    memcpy(all.reference, reference, REFERENCE_SIZE);
    r->stream = memfd_create("flic-stream", MFD_CLOEXEC);
    if (r->stream < 0)
        return flic_err_errno(err, "make a stream for libxl");
    rc = flic_pwrite_all(r->stream, &all, sizeof(all), 0);
    if (!rc && len)
        rc = flic_pwrite_all(r->stream, records, len, sizeof(all) - 8);
    return rc ? flic_err_set(err, rc, "make a stream for libxl: %s", strerror(-rc)) : 0;
}

static int make_stream_of(struct restore *r, const json_t *ready, const uint8_t reference[REFERENCE_SIZE], struct flic_err *err)
{
    const char *hex = json_string_value(json_object_get(ready, "records"));
    size_t len = hex ? strlen(hex) / 2 : 0;
    FLIC_AUTO_FREE uint8_t *records = NULL;

    if (len > FLICXL_RECORDS_MAX || (len && !(records = malloc(len))) || (len && !flic_from_hex(hex, records, len)))
        return flic_err_set(err, FLIC_E_PROTOCOL, "the device model's records that flicd gave cannot be used");
    return make_stream(r, reference, records, len, err);
}

/* ---- the domain's configuration ---- */

/* A name that no living domain has: "web-clone", "web-clone2" ... */
static int free_name(const struct restore *r, char **ret_name)
{
    char name[256];
    uint32_t taken;

    for (unsigned i = 1; i < 1000; i++) {
        int n = i == 1 ? snprintf(name, sizeof(name), "%s-clone", r->config.c_info.name)
                       : snprintf(name, sizeof(name), "%s-clone%u", r->config.c_info.name, i);

        if (n < 0 || (size_t)n >= sizeof(name))
            return -ENAMETOOLONG;
        if (libxl_name_to_domid(r->op.ctx, name, &taken)) {
            *ret_name = strdup(name);
            return *ret_name ? 0 : -ENOMEM;
        }
    }
    return -EEXIST;
}

/* libxl draws a MAC address for an interface that has none. */
static int become_clone(struct restore *r, struct flic_err *err)
{
    char *name = NULL;
    int rc = free_name(r, &name);

    if (rc)
        return flic_err_set(err, rc, "find a name for the clone: %s", strerror(-rc));
    free(r->config.c_info.name);
    r->config.c_info.name = name;
    libxl_uuid_generate(&r->config.c_info.uuid);
    for (int i = 0; i < r->config.num_nics; i++)
        memset(r->config.nics[i].mac, 0, sizeof(r->config.nics[i].mac));
    return 0;
}

/* libxl does not write down which GIC the domain got; on another host its default could be another. */
static void set_gic(struct restore *r, json_int_t gic)
{
    if (r->config.b_info.arch_arm.gic_version != LIBXL_GIC_VERSION_DEFAULT)
        return;
    if (gic == 2)
        r->config.b_info.arch_arm.gic_version = LIBXL_GIC_VERSION_V2;
    if (gic == 3)
        r->config.b_info.arch_arm.gic_version = LIBXL_GIC_VERSION_V3;
}

static int take_ready(struct restore *r, const json_t *ready, struct flic_err *err)
{
    const char *config = json_string_value(json_object_get(ready, "config"));
    const char *hex = json_string_value(json_object_get(ready, "reference"));
    uint8_t reference[REFERENCE_SIZE];

    if (!config || !reference_from_hex(hex, reference))
        return flic_err_set(err, FLIC_E_PROTOCOL, "flicd gave no configuration or no reference");
    if (libxl_domain_config_from_json(r->op.ctx, &r->config, config))
        return flic_err_set(err, FLIC_E_DAMAGED, "libxl does not understand the configuration in the checkpoint");
    r->config.c_info.domid = INVALID_DOMID;
    set_gic(r, json_integer_value(json_object_get(ready, "gic")));
    if (r->params->clone) {
        int rc = become_clone(r, err);

        if (rc)
            return rc;
    }
    return make_stream_of(r, ready, reference, err);
}

/* ---- the steps ---- */

static int start(struct op *op, void *arg)
{
    struct restore *r = arg;

    return libxl_domain_create_restore(op->ctx, &r->config, &r->domid, r->stream, -1, &r->libxl_params, &op->how, NULL);
}

/* libxl destroys what it could not finish; what it finished is destroyed here when flicd does not agree. */
static void destroy_half(struct restore *r)
{
    xc_interface *xch;
    xc_domaininfo_t info;
    bool ours;

    if (r->domid == 0 || r->domid == (uint32_t)INVALID_DOMID)
        return;
    xch = xc_interface_open(NULL, NULL, 0);     /* libxl would log that a domain it destroyed is not there */
    ours = xch && !compat_domain_info(xch, r->domid, &info) &&
           !memcmp(info.handle, libxl_uuid_bytearray(&r->config.c_info.uuid), sizeof(info.handle));
    if (xch)
        (void)xc_interface_close(xch);
    if (ours)
        (void)libxl_domain_destroy(r->op.ctx, r->domid, NULL);      /* libxl's log says why, if it cannot */
}

/* A checkpoint of this phone's: flicd has it, and says so at once. */
static int open_checkpoint(struct restore *r, json_t **ret_ready, struct flic_err *err)
{
    json_t *request = NULL;
    int rc = make_request(r, &request, err);

    return rc ? rc : op_open(&r->op, request, ret_ready, err);
}

/* A guest on its way: what it is comes through the tunnel. */
static int open_arrival(struct restore *r, json_t **ret_ready, struct flic_err *err)
{
    json_t *ready = NULL;
    int rc = op_open(&r->op, json_pack("{s:s}", "op", "receive"), &ready, err);

    if (rc)
        return rc;
    json_decref(ready);
    rc = op_tunnel(&r->op, r->arrival->attach, r->arrival->user, err);
    return rc ? rc : op_event(&r->op, "offered", ret_ready, err);
}

static int build(struct restore *r, struct flic_err *err)
{
    json_t *ready = NULL;
    int rc = r->arrival ? open_arrival(r, &ready, err) : open_checkpoint(r, &ready, err);

    if (!rc)
        rc = take_ready(r, ready, err);
    json_decref(ready);
    if (!rc)
        rc = op_run(&r->op, start, r, err);
    if (!rc) {
        r->told = true;
        rc = op_tell(&r->op, "restored", r->domid, err);
    }
    if (rc) {
        /* Asked to take an arrival over, and gone without an answer, flicd may have done it: the next one knows. */
        if (!r->arrival || r->op.answer || !r->told)
            destroy_half(r);
        op_abort(&r->op, err);
        rc = err->code;
    }
    return rc;
}

static void restore_init(struct restore *r, libxl_ctx *ctx, const struct op_limits *limits)
{
    libxl_domain_config_init(&r->config);
    libxl_domain_restore_params_init(&r->libxl_params);
    r->libxl_params.stream_version = 2;
    op_init(&r->op, ctx, limits);
}

static int restore_end(struct restore *r, int rc, const struct flic_err *err, struct flicxl_info *info)
{
    if (r->stream >= 0)
        (void)close(r->stream);
    rc = op_result(&r->op, rc, err, info);
    op_fini(&r->op);
    libxl_domain_restore_params_dispose(&r->libxl_params);
    libxl_domain_config_dispose(&r->config);
    return rc;
}

int flicxl_domain_restore(libxl_ctx *ctx, const struct flicxl_restore_params *params,
                          struct flicxl_info *info, const libxl_asyncop_how *ao_how)
{
    struct restore r = { .params = params, .stream = -1, .domid = (uint32_t)INVALID_DOMID };
    struct op_limits limits = { params->socket, params->cancel, params->progress, params->user, params->timeout_s };
    struct flic_err err = { 0 };
    int rc;

    memset(info, 0, sizeof(*info));
    restore_init(&r, ctx, &limits);
    rc = ao_how ? flic_err_set(&err, FLIC_E_USAGE, "flicxl_domain_restore() is synchronous: ao_how must be NULL")
                : build(&r, &err);
    if (!rc)
        info->domid = r.domid;
    if (!rc && !params->paused)
        rc = op_let_run(&r.op, r.domid, &err);
    return restore_end(&r, rc, &err, info);
}

void flicxl_receive_params_init(struct flicxl_receive_params *params)
{
    memset(params, 0, sizeof(*params));
}

/* flicd lets the guest run itself, once it is ours. */
int flicxl_domain_receive(libxl_ctx *ctx, const struct flicxl_receive_params *params,
                          struct flicxl_info *info, const libxl_asyncop_how *ao_how)
{
    const struct flicxl_restore_params as_it_is = { 0 };
    struct restore r = { .params = &as_it_is, .arrival = params, .stream = -1, .domid = (uint32_t)INVALID_DOMID };
    struct op_limits limits = { params->socket, params->cancel, params->progress, params->user, params->timeout_s };
    struct flic_err err = { 0 };
    int rc;

    memset(info, 0, sizeof(*info));
    restore_init(&r, ctx, &limits);
    rc = ao_how || !params->attach
         ? flic_err_set(&err, FLIC_E_USAGE, "flicxl_domain_receive() is synchronous (ao_how must be NULL), and needs attach")
         : build(&r, &err);
    if (!rc)
        info->domid = r.domid;
    return restore_end(&r, rc, &err, info);
}
