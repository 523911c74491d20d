/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/find.h"

#include "common/hex.h"
#include "daemon/checkpoint/root.h"

#include <string.h>

static int find_by_reference(struct fd_daemon *daemon, const char *hex, struct ck_entry *ret_entry, struct flic_err *err)
{
    uint8_t raw[CK_REFERENCE_SIZE];
    struct ck_facts facts;
    struct ck_entry entry;
    int rc;

    if (!flic_from_hex(hex, raw, sizeof(raw)))
        return flic_err_set(err, FLIC_E_DAMAGED, "the reference is not %u bytes in hex", CK_REFERENCE_SIZE);
    rc = ck_reference_parse(raw, sizeof(raw), &facts, err);
    if (rc)
        return rc;
    if (!flic_uuid_equal(&facts.store, ck_store_uuid(daemon->store)))
        return flic_err_set(err, FLIC_E_FOREIGN, "the file refers to a checkpoint in another phone's store");
    rc = ck_find_exact(daemon->store, &facts.guest, facts.seq, &entry, err);
    if (rc)
        return rc;
    if (!flic_uuid_equal(&facts.id, &entry.id))
        return flic_err_set(err, FLIC_E_NOCHECKPOINT, "the file refers to another checkpoint than %s@%llu is now", entry.info.name,
                            (unsigned long long)facts.seq);
    *ret_entry = entry;
    return 0;
}

int fd_find(struct fd_daemon *daemon, json_t *request, struct ck_entry *ret_entry, struct flic_err *err)
{
    const char *reference = json_string_value(json_object_get(request, "reference"));
    const char *domain = json_string_value(json_object_get(request, "domain"));
    json_int_t seq = json_integer_value(json_object_get(request, "seq"));

    if (!daemon->store)
        return flic_err_set(err, daemon->store_err.code, "%s", daemon->store_err.text);
    if (reference)
        return find_by_reference(daemon, reference, ret_entry, err);
    if (!domain || seq < 0)
        return flic_err_set(err, FLIC_E_PROTOCOL, "the request names no checkpoint");
    return ck_find(daemon->store, domain, (uint64_t)seq, ret_entry, err);
}

struct living { const struct flic_uuid *guest; const char *name; struct flx_info *found; };

static int see_domain(const struct flx_info *info, void *arg)
{
    const struct living *wanted = arg;

    if (info->run == FLX_DYING || (!flic_uuid_equal(&info->uuid, wanted->guest) && (!wanted->name || strcmp(info->name, wanted->name))))
        return 0;
    *wanted->found = *info;
    return 1;
}

int fd_find_living(const struct flic_uuid *guest, const char *name, struct flx_info *ret_info, struct flic_err *err)
{
    struct living wanted = { guest, name, ret_info };

    return flx_each_domain(see_domain, &wanted, err);
}
