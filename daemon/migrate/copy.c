/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/migrate/copy.h"

#include "common/hex.h"
#include "daemon/checkpoint/root.h"
#include "daemon/migrate/hello.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void mc_own_name(char out[MC_NAME])
{
    memset(out, 0, MC_NAME);
    if (gethostname(out, MC_NAME - 1) || !out[0])
        strcpy(out, "another phone");
}

static bool get_text(const json_t *json, const char *member, char *out, size_t room)
{
    const char *text = json_string_value(json_object_get(json, member));

    if (!text || !*text || strlen(text) >= room)
        return false;
    memcpy(out, text, strlen(text) + 1);
    return true;
}

static bool get_uuid(const json_t *json, const char *member, struct flic_uuid *out)
{
    const char *text = json_string_value(json_object_get(json, member));

    return text && flic_uuid_parse(text, out);
}

static bool get_number(const json_t *json, const char *member, json_int_t max, uint64_t *out)
{
    const json_t *number = json_object_get(json, member);
    json_int_t n = json_integer_value(number);

    *out = (uint64_t)n;
    return json_is_integer(number) && n >= 0 && n <= max;
}

#define SEQ_MAX INT64_MAX

/* ---- want ---- */

int mc_send_want(struct mw_wire *wire, const struct mc_want *w, struct flic_err *err)
{
    return mh_send_json(wire, MW_WANT, json_pack("{s:s, s:I, s:s, s:b, s:b}", "domain", w->domain, "seq", (json_int_t)w->seq, "from", w->from,
                                                 "backup", (int)w->backup, "ram_only", (int)w->ram_only), err);
}

int mc_get_want(struct mw_wire *wire, struct mc_want *ret, struct flic_err *err)
{
    json_t *json;
    bool good;
    int rc = mh_get_json(wire, MW_WANT, 0, &json, err);

    if (rc)
        return rc;
    *ret = (struct mc_want){ .backup = json_is_true(json_object_get(json, "backup")), .ram_only = json_is_true(json_object_get(json, "ram_only")) };
    good = get_text(json, "domain", ret->domain, sizeof(ret->domain)) && get_text(json, "from", ret->from, sizeof(ret->from)) &&
           get_number(json, "seq", SEQ_MAX, &ret->seq);
    json_decref(json);
    return good ? 0 : flic_err_set(err, FLIC_E_PROTOCOL, "the peer's wish lacks something, or has it out of bounds");
}

/* ---- offer ---- */

void mc_offer_fini(struct mc_offer *offer)
{
    free(offer->config);
    offer->config = NULL;
}

int mc_send_offer(struct mw_wire *wire, const struct mc_offer *o, struct flic_err *err)
{
    char push[FLIC_UUID_TEXT], guest[FLIC_UUID_TEXT], group[FLIC_HEX_TEXT(sizeof(struct md_digest))];

    flic_uuid_text(&o->push, push);
    flic_uuid_text(&o->guest, guest);
    flic_to_hex(o->group.b, sizeof(o->group.b), group);
    return mh_send_json(wire, MW_COPY, json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:b, s:s}", "push", push, "guest", guest, "name",
                                                 o->name, "arch", o->arch, "from", o->from, "seq", (json_int_t)o->seq, "gfn_end",
                                                 (json_int_t)o->gfn_end, "pages", (json_int_t)o->pages, "group", group, "handed",
                                                 (int)o->handed, "config", o->config), err);
}

static bool parse_offer(const json_t *json, struct mc_offer *o)
{
    const char *config = json_string_value(json_object_get(json, "config"));

    o->handed = json_is_true(json_object_get(json, "handed"));
    return get_uuid(json, "push", &o->push) && get_uuid(json, "guest", &o->guest) && get_text(json, "name", o->name, sizeof(o->name)) &&
           get_text(json, "arch", o->arch, sizeof(o->arch)) && get_text(json, "from", o->from, sizeof(o->from)) &&
           get_number(json, "seq", SEQ_MAX, &o->seq) && get_number(json, "gfn_end", MH_GFN_END_MAX, &o->gfn_end) && o->gfn_end &&
           get_number(json, "pages", (json_int_t)o->gfn_end, &o->pages) && o->pages &&
           flic_from_hex(json_string_value(json_object_get(json, "group")), o->group.b, sizeof(o->group.b)) && config &&
           strlen(config) < CK_CONFIG_MAX && (o->config = strdup(config));
}

int mc_get_offer(struct mw_wire *wire, struct mc_offer *ret, struct flic_err *err)
{
    json_t *json;
    bool good;
    int rc = mh_get_json(wire, MW_COPY, 0, &json, err);

    if (rc)
        return rc;
    *ret = (struct mc_offer){ 0 };
    good = parse_offer(json, ret);
    json_decref(json);
    if (good)
        return 0;
    mc_offer_fini(ret);
    return flic_err_set(err, FLIC_E_PROTOCOL, "the peer's offer lacks something, or has it out of bounds");
}

bool mc_same_config(const char *a, const char *b)
{
    json_t *one = json_loads(a, JSON_REJECT_DUPLICATES, NULL), *other = json_loads(b, JSON_REJECT_DUPLICATES, NULL);
    bool same = one && other ? json_equal(one, other) : !strcmp(a, b);

    json_decref(one);
    json_decref(other);
    return same;
}
