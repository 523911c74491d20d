/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/migrate/hello.h"

#include "common/hex.h"
#include "daemon/checkpoint/root.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

int mh_send_json(struct mw_wire *wire, enum mw_type type, json_t *json, struct flic_err *err)
{
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    int rc = text ? mw_send_bytes(wire, type, text, strlen(text), err)
                  : flic_err_set(err, FLIC_E_INTERNAL, "tell the peer: a text is not UTF-8, or out of memory");

    free(text);
    json_decref(json);
    return rc;
}

int mh_get_json(struct mw_wire *wire, enum mw_type type, unsigned silence_s, json_t **ret_json, struct flic_err *err)
{
    struct mw_message m;
    int rc = mw_expect(wire, type, silence_s, &m, err);

    if (rc)
        return rc;
    *ret_json = json_loadb((const char *)m.data, m.len, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(*ret_json))
        return 0;
    json_decref(*ret_json);
    return flic_err_set(err, FLIC_E_PROTOCOL, "the peer sent what is no JSON object");
}

static const char *text_of(const json_t *json, const char *member)
{
    return json_string_value(json_object_get(json, member));
}

/* ---- hello ---- */

int mh_greet(struct mw_wire *wire, bool is_sender, struct md_key *ret_key, struct flic_err *err)
{
    uint8_t mine[MD_NONCE], theirs[MD_NONCE];
    char hex[FLIC_HEX_TEXT(MD_NONCE)];
    json_t *hello = NULL;
    json_int_t version;
    int rc;

    if (md_init())
        return flic_err_set(err, FLIC_E_INTERNAL, "talk to the peer: libsodium cannot be used");
    md_draw(mine);
    flic_to_hex(mine, sizeof(mine), hex);
    rc = mh_send_json(wire, MW_HELLO, json_pack("{s:i, s:s}", "version", MH_VERSION, "nonce", hex), err);
    if (!rc)
        rc = mh_get_json(wire, MW_HELLO, 0, &hello, err);
    if (rc)
        return rc;
    version = json_integer_value(json_object_get(hello, "version"));
    if (version != MH_VERSION)
        rc = flic_err_set(err, FLIC_E_VERSION, "the peer speaks version %lld, this flicd %d: install the same FLIC on both", (long long)version,
                          MH_VERSION);
    else if (!flic_from_hex(text_of(hello, "nonce"), theirs, sizeof(theirs)))
        rc = flic_err_set(err, FLIC_E_PROTOCOL, "the peer's greeting has no nonce");
    json_decref(hello);
    if (!rc)
        md_make_key(is_sender ? mine : theirs, is_sender ? theirs : mine, ret_key);
    return rc;
}

void mh_prove_group(const struct md_key *key, const char *group, struct md_digest *ret_proof)
{
    *ret_proof = *group ? md_of(key, group, strlen(group)) : MD_ZERO;
}

bool mh_is_group(const struct md_key *key, const char *group, const struct md_digest *proof)
{
    struct md_digest ours;

    mh_prove_group(key, group, &ours);
    return *group && md_equal(&ours, proof);
}

/* ---- the offer ---- */

void mh_offer_fini(struct mh_offer *offer)
{
    free(offer->config);
    free(offer->disks);
    offer->config = offer->disks = NULL;
}

int mh_send_offer(struct mw_wire *wire, const struct mh_offer *o, struct flic_err *err)
{
    char migration[FLIC_UUID_TEXT], guest[FLIC_UUID_TEXT], group[FLIC_HEX_TEXT(sizeof(struct md_digest))];

    flic_uuid_text(&o->migration, migration);
    flic_uuid_text(&o->guest, guest);
    flic_to_hex(o->group.b, sizeof(o->group.b), group);
    return mh_send_json(wire, MW_OFFER, json_pack("{s:s, s:s, s:s, s:I, s:I, s:s, s:s, s:s}", "migration", migration, "guest", guest, "name",
                                               o->name, "gfn_end", (json_int_t)o->gfn_end, "pages", (json_int_t)o->pages, "group", group,
                                               "config", o->config, "disks", o->disks), err);
}

static bool get_text(const json_t *json, const char *member, size_t max, char **ret_text)
{
    const char *text = text_of(json, member);

    *ret_text = text && strlen(text) < max ? strdup(text) : NULL;
    return *ret_text != NULL;
}

int mh_get_offer(struct mw_wire *wire, struct mh_offer *ret, struct flic_err *err)
{
    json_int_t gfn_end, pages;
    const char *name;
    json_t *json;
    bool good;
    int rc = mh_get_json(wire, MW_OFFER, 0, &json, err);

    if (rc)
        return rc;
    *ret = (struct mh_offer){ 0 };
    name = text_of(json, "name");
    gfn_end = json_integer_value(json_object_get(json, "gfn_end"));
    pages = json_integer_value(json_object_get(json, "pages"));
    good = text_of(json, "migration") && flic_uuid_parse(text_of(json, "migration"), &ret->migration) && text_of(json, "guest") &&
           flic_uuid_parse(text_of(json, "guest"), &ret->guest) && name && *name && strlen(name) < sizeof(ret->name) && gfn_end > 0 &&
           gfn_end <= (json_int_t)MH_GFN_END_MAX && pages > 0 && pages <= gfn_end &&
           flic_from_hex(text_of(json, "group"), ret->group.b, sizeof(ret->group.b)) &&
           get_text(json, "config", CK_CONFIG_MAX, &ret->config) && get_text(json, "disks", CK_DISKS_MAX, &ret->disks);
    if (good) {
        memcpy(ret->name, name, strlen(name) + 1);
        ret->gfn_end = (uint64_t)gfn_end;
        ret->pages = (uint64_t)pages;
    } else {
        mh_offer_fini(ret);
        rc = flic_err_set(err, FLIC_E_PROTOCOL, "the peer's offer lacks something, or has it out of bounds");
    }
    json_decref(json);
    return rc;
}

/* ---- its answer ---- */

int mh_send_accept(struct mw_wire *wire, bool has, uint32_t has_disks, struct flic_err *err)
{
    mw_tell_alive(wire);
    return mh_send_json(wire, MW_ACCEPT, json_pack("{s:b, s:I}", "has", (int)has, "has_disks", (json_int_t)has_disks), err);
}

int mh_get_accept(struct mw_wire *wire, unsigned silence_s, bool *ret_has, uint32_t *ret_has_disks, struct flic_err *err)
{
    json_int_t disks;
    json_t *json;
    int rc = mh_get_json(wire, MW_ACCEPT, silence_s, &json, err);

    if (rc)
        return rc;
    *ret_has = json_is_true(json_object_get(json, "has"));
    disks = json_integer_value(json_object_get(json, "has_disks"));
    json_decref(json);
    if (disks < 0 || disks > UINT32_MAX)
        return flic_err_set(err, FLIC_E_PROTOCOL, "the peer's answer to the offer is out of bounds");
    *ret_has_disks = (uint32_t)disks;
    return 0;
}
