/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/swap.h"

#include "common/io.h"
#include "common/log.h"
#include "common/mem.h"
#include "daemon/hook.h"

#include <jansson.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PLAN_MAX (256u << 10)
#define PLAN_VERSION 1              /* the first plans had none and are the same */

static int no_memory(struct flic_err *err)
{
    return flic_err_set(err, -ENOMEM, "put the disks in place: out of memory");
}

/* ---- what is written down: {"stays":false,"arrives":false,"swaps":[{"disk":"/guests/a.img","swap":"/guests/.flic/….swap-131"},
 * {"disk":"/dev/vg/b","vdev":"xvdb","hook":NAME}]} ---- */

static void plan_path(const struct sn_where *where, const struct flic_uuid *guest, char out[PATH_MAX])
{
    char text[FLIC_UUID_TEXT];

    flic_uuid_text(guest, text);
    (void)snprintf(out, PATH_MAX, "%s/swaps/%s", where->folder, text);
}

/* The disks stay; they are an arrival's. */
enum { PLAN_STAYS = 1, PLAN_ARRIVES = 2 };

static int write_plan(const struct sn_where *where, const struct flic_uuid *guest, json_t *swaps, unsigned flags, struct flic_err *err)
{
    json_t *plan = json_pack("{s:i, s:b, s:b, s:O}", "version", PLAN_VERSION, "stays", (flags & PLAN_STAYS) != 0, "arrives", (flags & PLAN_ARRIVES) != 0,
                             "swaps", swaps);
    FLIC_AUTO_FREE char *text = plan ? json_dumps(plan, JSON_COMPACT) : NULL;
    char path[PATH_MAX], folder[PATH_MAX];
    int rc;

    json_decref(plan);
    if (!text)
        return no_memory(err);
    (void)snprintf(folder, sizeof(folder), "%s/swaps", where->folder);
    rc = flic_make_folder(folder, 0700, err);
    if (rc)
        return rc;
    plan_path(where, guest, path);
    return flic_publish_file(path, text, strlen(text), 0600, err);
}

/* *ret_swaps NULL: nothing is written down. Of a plan that does not say so, which older ones did not, it may be an arrival's. */
static int read_plan(const struct sn_where *where, const struct flic_uuid *guest, json_t **ret_swaps, unsigned *ret_flags, struct flic_err *err)
{
    FLIC_AUTO_FREE void *text = NULL;
    char path[PATH_MAX];
    json_t *plan, *version;
    size_t len;
    int rc;

    *ret_swaps = NULL;
    plan_path(where, guest, path);
    if (access(path, F_OK))
        return 0;
    rc = flic_load_file(path, PLAN_MAX, &text, &len, err);
    if (rc)
        return rc;
    plan = json_loadb(text, len, 0, NULL);
    version = json_object_get(plan, "version");
    if (version && json_integer_value(version) != PLAN_VERSION) {
        rc = flic_err_set(err, FLIC_E_VERSION, "'%s' has version %lld, this build knows %d; use the newer flicd", path,
                          (long long)json_integer_value(version), PLAN_VERSION);
        json_decref(plan);
        return rc;
    }
    *ret_swaps = json_incref(json_object_get(plan, "swaps"));
    *ret_flags = (json_is_true(json_object_get(plan, "stays")) ? PLAN_STAYS : 0u) | (json_is_false(json_object_get(plan, "arrives")) ? 0u : PLAN_ARRIVES);
    json_decref(plan);
    return json_is_array(*ret_swaps) ? 0 : flic_err_set(err, FLIC_E_DAMAGED, "'%s' is damaged, which says what a restore put in the "
                                                                "place of disks: look at these, then remove it", path);
}

static int cross_out(const struct sn_where *where, const struct flic_uuid *guest, struct flic_err *err)
{
    char path[PATH_MAX];

    plan_path(where, guest, path);
    if (!unlink(path))
        return flic_sync_parent(path, err);
    return errno == ENOENT ? 0 : flic_err_errno(err, "remove '%s'", path);
}

/* ---- one disk ---- */

static uint64_t inode_of(const char *path)
{
    struct stat st;

    return lstat(path, &st) ? 0 : st.st_ino;
}

static int sync_both(const char *disk, const char *swap, struct flic_err *err)
{
    int rc = flic_sync_parent(disk, err);

    return rc ? rc : flic_sync_parent(swap, err);
}

/* A disk that is not there any more is displaced by nothing: then the clone only takes its name. */
static bool is_hooked(const json_t *entry)
{
    return json_object_get(entry, "hook") != NULL;
}

static int ask_hook(const struct sn_where *where, const json_t *entry, const char *verb, struct flic_err *err)
{
    struct hk_disk hook = {
        .program = where->hook, .vdev = json_string_value(json_object_get(entry, "vdev")),
        .path = json_string_value(json_object_get(entry, "disk")), .name = json_string_value(json_object_get(entry, "hook")),
    };

    if (!hook.vdev || !hook.path || !hook.name)
        return flic_err_set(err, FLIC_E_DAMAGED, "what was written down about a restore's disks is damaged");
    return hk_run(&hook, verb, err);
}

static int exchange(const char *disk, const char *swap, struct flic_err *err)
{
    unsigned flags = inode_of(disk) ? RENAME_EXCHANGE : RENAME_NOREPLACE;

    if (renameat2(AT_FDCWD, swap, AT_FDCWD, disk, flags))
        return flic_err_errno(err, "put a snapshot in the place of '%s'", disk);
    return sync_both(disk, swap, err);
}

/* Each state that a power cut can leave is told from the inodes alone. */
static int put_back(const struct sn_where *where, const json_t *entry, struct flic_err *err)
{
    const char *disk = json_string_value(json_object_get(entry, "disk"));
    const char *swap = json_string_value(json_object_get(entry, "swap"));
    uint64_t clone = swap ? sn_swap_inode(swap) : 0, at_swap, at_disk;

    if (is_hooked(entry))
        return ask_hook(where, entry, "back", err);
    if (!disk || !clone)
        return flic_err_set(err, FLIC_E_DAMAGED, "what was written down about a restore's disks is damaged");
    at_swap = inode_of(swap);
    at_disk = inode_of(disk);
    if (at_swap && at_swap != clone && at_disk == clone) {      /* exchanged */
        if (renameat2(AT_FDCWD, swap, AT_FDCWD, disk, RENAME_EXCHANGE))
            return flic_err_errno(err, "put '%s' back", disk);
        at_swap = clone;
    } else if (!at_swap && at_disk == clone) {                  /* took the name of a disk that was gone */
        if (unlink(disk))
            return flic_err_errno(err, "put '%s' back", disk);
    } else if (at_swap && at_swap != clone) {
        flic_warn("'%s' is not what a restore put there: it stays, and the disk before it is '%s'", disk, swap);
    }
    if (at_swap == clone && unlink(swap))
        return flic_err_errno(err, "remove '%s'", swap);
    return sync_both(disk, swap, err);
}

/* ---- clones ---- */

/* The clone under its final name, durable, with the disk's owner and mode: gives its path in `ret_swap`. */
static int make_clone(const char *snapshot, const json_t *entry, char ret_swap[PATH_MAX], struct flic_err *err)
{
    const char *vdev = json_string_value(json_object_get(entry, "vdev"));
    FLIC_AUTO_CLOSE int from = open(snapshot, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), to = -1;
    char fresh[PATH_MAX];
    struct stat st;
    int rc;

    if (from < 0)
        return flic_err_errno(err, "open the snapshot '%s'", snapshot);
    if (snprintf(fresh, sizeof(fresh), "%s.new", snapshot) >= (int)sizeof(fresh))
        return flic_err_set(err, -ENAMETOOLONG, "'%s': path too long", snapshot);
    (void)unlink(fresh);        /* an earlier restore's that was cut off */
    to = open(fresh, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (to < 0)
        return flic_err_errno(err, "make '%s'", fresh);
    rc = sn_clone(to, from, vdev ? vdev : "?", snapshot, err);
    if (!rc && (fchown(to, (uid_t)json_integer_value(json_object_get(entry, "uid")), (gid_t)json_integer_value(json_object_get(entry, "gid"))) ||
                fchmod(to, (mode_t)json_integer_value(json_object_get(entry, "mode")) & 07777) || fsync(to) || fstat(to, &st)))
        rc = flic_err_errno(err, "make '%s'", fresh);
    if (!rc && snprintf(ret_swap, PATH_MAX, "%s.swap-%" PRIu64, snapshot, (uint64_t)st.st_ino) >= PATH_MAX)
        rc = flic_err_set(err, -ENAMETOOLONG, "'%s': path too long", snapshot);
    if (!rc && renameat2(AT_FDCWD, fresh, AT_FDCWD, ret_swap, RENAME_NOREPLACE))
        rc = flic_err_errno(err, "make '%s'", ret_swap);
    if (rc)
        (void)unlink(fresh);
    return rc;
}

static int add_clone(const json_t *entry, json_t *swaps, struct flic_err *err)
{
    const char *snapshot = json_string_value(json_object_get(entry, "snapshot"));
    const char *disk = json_string_value(json_object_get(entry, "path"));
    const char *hook = json_string_value(json_object_get(entry, "hook"));
    char swap[PATH_MAX];
    struct stat st;
    int rc;

    if (hook)
        return json_array_append_new(swaps, json_pack("{s:s?, s:O?, s:s}", "disk", disk, "vdev", json_object_get(entry, "vdev"), "hook",
                                                      hook)) ? no_memory(err) : 0;
    if (!snapshot)
        return 0;
    if (!disk)
        return flic_err_set(err, FLIC_E_DAMAGED, "the checkpoint's disk list is damaged");
    if (!lstat(disk, &st) && !S_ISREG(st.st_mode))
        return flic_err_set(err, FLIC_E_DISK, "'%s' is no file now: move it away, or restore with --ram-only", disk);
    rc = make_clone(snapshot, entry, swap, err);
    if (rc)
        return rc;
    if (json_array_append_new(swaps, json_pack("{s:s, s:s}", "disk", disk, "swap", swap))) {
        (void)unlink(swap);
        return no_memory(err);
    }
    return flic_sync_parent(swap, err);
}

static int make_clones(const char *list, json_t *swaps, struct flic_err *err)
{
    json_t *root = json_loads(list, 0, NULL), *entry;
    size_t i;
    int rc = 0;

    json_array_foreach(root, i, entry)
        if (!rc)
            rc = add_clone(entry, swaps, err);
    json_decref(root);
    return rc;
}

/* ---- the whole ---- */

bool sw_needed(const char *list)
{
    json_t *root = json_loads(list, 0, NULL), *entry;
    bool needed = false;
    size_t i;

    json_array_foreach(root, i, entry)
        needed |= json_object_get(entry, "snapshot") || is_hooked(entry);
    json_decref(root);
    return needed;
}

static int put_all_back(const struct sn_where *where, json_t *swaps, struct flic_err *err)
{
    struct flic_err why = { 0 };
    json_t *entry;
    size_t i;
    int failed = 0, rc;

    json_array_foreach(swaps, i, entry)
        if ((rc = put_back(where, entry, failed ? &why : err)) && !failed)
            failed = rc;    /* the other disks all the same */
    return failed;
}

static int exchange_all(const struct sn_where *where, json_t *swaps, struct flic_err *err)
{
    json_t *entry;
    size_t i;
    int rc = 0;

    json_array_foreach(swaps, i, entry)
        if (!rc)
            rc = is_hooked(entry) ? ask_hook(where, entry, "place", err)
                 : exchange(json_string_value(json_object_get(entry, "disk")), json_string_value(json_object_get(entry, "swap")), err);
    return rc;
}

/* After a failure nothing of it is left. */
static int place(const struct sn_where *where, const struct flic_uuid *guest, json_t *swaps, unsigned flags, int rc, struct flic_err *err)
{
    struct flic_err why = { 0 };

    if (!rc)
        rc = write_plan(where, guest, swaps, flags, err);
    if (!rc)
        rc = exchange_all(where, swaps, err);
    if (rc && (put_all_back(where, swaps, &why) || cross_out(where, guest, &why)))
        flic_error("after a failure: %s; the next start of flicd puts the disks back", why.text);
    return rc;
}

int sw_place(const struct sn_where *where, const struct flic_uuid *guest, json_t *swaps, struct flic_err *err)
{
    int rc = sw_undo(where, guest, err);

    if (!rc)
        return place(where, guest, swaps, PLAN_ARRIVES, 0, err);
    (void)put_all_back(where, swaps, NULL);     /* what is written down stays: it is another restore's */
    return rc;
}

int sw_begin(const struct sn_where *where, const struct flic_uuid *guest, const char *list, struct flic_err *err)
{
    json_t *swaps;
    int rc = sw_undo(where, guest, err);

    if (rc)
        return rc;
    swaps = json_array();
    rc = swaps ? make_clones(list, swaps, err) : no_memory(err);
    rc = place(where, guest, swaps, 0, rc, err);
    json_decref(swaps);
    return rc;
}

int sw_is_of(const struct sn_where *where, const struct sn_name *name, struct flic_err *err)
{
    char prefix[256];
    json_t *swaps = NULL, *entry;
    unsigned flags = 0;
    bool is = false;
    size_t i;
    int rc;

    sn_file_name(where, name, 0, prefix, sizeof(prefix));
    *strrchr(prefix, '.') = '\0';       /* of any disk */
    rc = read_plan(where, &name->guest, &swaps, &flags, err);
    json_array_foreach(flags & PLAN_ARRIVES ? swaps : NULL, i, entry) {
        const char *swap = json_string_value(json_object_get(entry, "swap")), *file = swap ? strrchr(swap, '/') : NULL;

        is |= file && !strncmp(file + 1, prefix, strlen(prefix)) && file[1 + strlen(prefix)] == '.';
    }
    json_decref(swaps);
    return rc ? rc : is;
}

/* A hook must be told, and perhaps told again after a power cut: then the plan says that the disks stay. */
static int keep_hooked(const struct sn_where *where, json_t *swaps, struct flic_err *err)
{
    json_t *entry;
    size_t i;
    int rc = 0;

    json_array_foreach(swaps, i, entry)
        if (!rc && is_hooked(entry))
            rc = ask_hook(where, entry, "keep", err);
    return rc;
}

static bool any_hooked(json_t *swaps)
{
    bool any = false;
    json_t *entry;
    size_t i;

    json_array_foreach(swaps, i, entry)
        any |= is_hooked(entry);
    return any;
}

/* The disks stay once that is written down, or, where no hook need be told, once nothing is written down any more. */
int sw_commit(const struct sn_where *where, const struct flic_uuid *guest, struct flic_err *err)
{
    struct flic_err why = { 0 };
    json_t *swaps;
    unsigned flags;
    int rc = read_plan(where, guest, &swaps, &flags, err);

    if (!rc && any_hooked(swaps)) {
        rc = write_plan(where, guest, swaps, PLAN_STAYS, err);
        if (!rc && keep_hooked(where, swaps, &why)) {
            flic_warn("%s; the next restore or start of flicd asks again", why.text);
            json_decref(swaps);
            return 0;
        }
    }
    json_decref(swaps);
    return rc ? rc : cross_out(where, guest, err);
}

int sw_undo(const struct sn_where *where, const struct flic_uuid *guest, struct flic_err *err)
{
    json_t *swaps;
    unsigned flags;
    int rc = read_plan(where, guest, &swaps, &flags, err);

    if (!rc && swaps) {
        rc = flags & PLAN_STAYS ? keep_hooked(where, swaps, err) : put_all_back(where, swaps, err);
        if (!rc)
            rc = cross_out(where, guest, err);
    }
    json_decref(swaps);
    return rc;
}

int sw_settle(const struct sn_where *where, struct flic_err *err)
{
    char folder[PATH_MAX];
    struct dirent *e;
    struct flic_uuid guest;
    int rc = 0, failed = 0;
    DIR *dir;

    (void)snprintf(folder, sizeof(folder), "%s/swaps", where->folder);
    dir = opendir(folder);
    while (dir && (e = readdir(dir)))
        if (flic_uuid_parse(e->d_name, &guest) && (rc = sw_undo(where, &guest, err))) {
            flic_error("put back the disks of a restore that was cut off: %s", err ? err->text : flic_code_text(rc));
            failed = rc;
        }
    if (dir)
        (void)closedir(dir);    /* only read */
    return failed;
}
