/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/filter/kept.h"

#include "common/bytes.h"
#include "common/id.h"
#include "daemon/filter/format.h"
#include "libxl-ext/flx.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#define MAGIC "LX_KEPT1"
#define FORMAT 1u
#define ENTRY 4u
#define PFN_BITS 28

bool lf_is_kept(const void *state, size_t len)
{
    return len >= 8 && !memcmp(state, MAGIC, 8);
}

/* libxl frames its records as libxc does. */
bool lf_is_emulator(const void *bytes, size_t len)
{
    return len == 0 || (len <= LF_EMULATOR_MAX && lf_are_records(bytes, len, true));
}

static uint32_t table_at(const struct lf_kept *kept, size_t i)
{
    uint32_t v;

    memcpy(&v, kept->tables + i * ENTRY, ENTRY);
    return le32toh(v);
}

uint64_t lf_table_pfn(const struct lf_kept *kept, size_t i) { return table_at(kept, i) & ((1u << PFN_BITS) - 1); }
unsigned lf_table_type(const struct lf_kept *kept, size_t i) { return table_at(kept, i) >> PFN_BITS; }

int lf_kept_build(const struct lf_kept *kept, void **ret_bytes, size_t *ret_len, struct flic_err *err)
{
    size_t whole = 16 + 16 + kept->head_len + kept->tail_len + kept->n_tables * ENTRY + kept->emulator_len + 8;
    struct flic_builder b;

    if (whole > FLX_STATE_MAX)
        return flic_err_set(err, FLIC_E_REFUSED, "its page tables and device model need %zu bytes beside its memory, more than the %u "
                            "that a checkpoint has for them: use 'xl save' without --flic", whole, FLX_STATE_MAX);
    flic_builder_init(&b);
    flic_put_bytes(&b, MAGIC, 8);
    flic_put_u32(&b, FORMAT);
    flic_put_u32(&b, (uint32_t)whole);
    flic_put_blob(&b, kept->head, (uint32_t)kept->head_len);
    flic_put_blob(&b, kept->tail, (uint32_t)kept->tail_len);
    flic_put_blob(&b, kept->tables, (uint32_t)(kept->n_tables * ENTRY));
    flic_put_blob(&b, kept->emulator, (uint32_t)kept->emulator_len);
    flic_put_u64(&b, b.bad ? 0 : flic_checksum(b.data, b.len));
    *ret_bytes = flic_builder_take(&b, ret_len);
    return *ret_bytes ? 0 : flic_err_set(err, -ENOMEM, "keep libxc's records: out of memory");
}

static bool tables_are_sound(const struct lf_kept *kept)
{
    for (size_t i = 0; i < kept->n_tables; i++) {
        unsigned type = lf_table_type(kept, i);

        if (type == LF_PLAIN || !lf_type_has_bytes(type) || (i && lf_table_pfn(kept, i) <= lf_table_pfn(kept, i - 1)))
            return false;
    }
    return true;
}

int lf_kept_parse(const void *bytes, size_t len, struct lf_kept *ret_kept, struct flic_err *err)
{
    struct flic_reader r = flic_reader_of(bytes, len);
    struct lf_kept kept = { 0 };
    uint32_t version, whole;
    size_t tables_len;
    int rc;

    (void)flic_get_u64(&r);
    version = flic_get_u32(&r);
    whole = flic_get_u32(&r);
    if (!lf_is_kept(bytes, len) || r.bad || whole != len || len > FLX_STATE_MAX)
        return flic_err_set(err, FLIC_E_DAMAGED, "its machine state is cut short or no machine state");
    if (version != FORMAT)
        return flic_err_set(err, FLIC_E_VERSION, "its machine state is of version %u: this build knows %u", version, FORMAT);
    kept.head = flic_get_blob(&r, len, &kept.head_len);
    kept.tail = flic_get_blob(&r, len, &kept.tail_len);
    kept.tables = flic_get_blob(&r, len, &tables_len);
    kept.emulator = flic_get_blob(&r, LF_EMULATOR_MAX, &kept.emulator_len);
    kept.n_tables = tables_len / ENTRY;
    if (r.bad || r.left != 8 || flic_get_u64(&r) != flic_checksum(bytes, len - 8) || tables_len % ENTRY || kept.head_len < LF_HEADERS)
        return flic_err_set(err, FLIC_E_DAMAGED, "its machine state is damaged");
    rc = lf_check_headers(kept.head, err);
    if (rc)
        return rc;
    if (!lf_are_records(kept.head + LF_HEADERS, kept.head_len - LF_HEADERS, false) || !lf_are_records(kept.tail, kept.tail_len, true) ||
        !lf_is_emulator(kept.emulator, kept.emulator_len) || !tables_are_sound(&kept))
        return flic_err_set(err, FLIC_E_DAMAGED, "its machine state holds what is not libxc's records");
    *ret_kept = kept;
    return 0;
}

int lf_kept_fits(const char *arch, struct flic_err *err)
{
    struct flx_host host;

    flx_host_probe(&host);
    return strcmp(arch, host.arch) ? flic_err_set(err, FLIC_E_MISMATCH, "the checkpoint is of a guest of %s, this host is %s", arch, host.arch)
                                   : 0;
}
