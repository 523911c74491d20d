/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/peer_config.h"

#include "daemon/arrive_where.h"
#include "daemon/checkpoint/root.h"
#include "daemon/daemon.h"
#include "daemon/disks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCRIPTS "/etc/xen/scripts/"
#define PATH_TEXT 160u          /* of a member, for the error */

/* What a member may say when it says something. */
struct rule {
    const char *name;
    bool (*good)(const struct fd_conf *conf, const char *text);
    const char *words;          /* one of these, "a b c" */
    const struct rule *members; /* an object of these */
    bool list;                  /* an array of what the rest says */
};                              /* a name alone: anything, it stays a number or a text within libxl, Xen or the guest */
#define OFF "False <default>"   /* of a libxl_defbool */

/* ---- texts ---- */

static bool of_chars(const char *text, const char *others)
{
    size_t n = strspn(text, others);

    return !text[n];
}

#define DIGITS "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* Nothing that a shell script or a device model's command line would take for more than one word, an option or a path. */
static bool is_word(const struct fd_conf *conf, const char *text)
{
    (void)conf;
    return text[0] != '-' && of_chars(text, DIGITS LETTERS "._:+@-");
}

static bool is_addresses(const struct fd_conf *conf, const char *text)
{
    (void)conf;
    return of_chars(text, DIGITS "abcdefABCDEF.:/ ");
}

static bool is_vlan(const struct fd_conf *conf, const char *text)
{
    (void)conf;
    return text[0] != '-' && of_chars(text, DIGITS "pu/,-");
}

/* An address to listen at. The device model would take other texts for the path of a socket, or for options. */
static bool is_listen(const struct fd_conf *conf, const char *text)
{
    (void)conf;
    return !strcmp(text, "localhost") || of_chars(text, DIGITS "abcdefABCDEF.:");
}

/* libxl fills in its defaults with their full path. The folder has other programs than those for a device, too. */
static bool is_script(const char *text, const char *kind)
{
    if (!strncmp(text, SCRIPTS, strlen(SCRIPTS)))
        text += strlen(SCRIPTS);
    return !strncmp(text, kind, strlen(kind)) && is_word(NULL, text);
}

static bool is_disk_script(const struct fd_conf *conf, const char *text)
{
    (void)conf;
    return is_script(text, "block");
}

static bool is_nic_script(const struct fd_conf *conf, const char *text)
{
    (void)conf;
    return is_script(text, "vif");
}

/* A comma begins an option of the device model's. */
static bool is_disk_path(const struct fd_conf *conf, const char *text)
{
    (void)conf;
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == ',' || *c == 127)
            return false;
    return true;
}

/* flic-watch starts a guest that reboots with it: the guest reads what is in the file. */
static bool is_boot_file(const struct fd_conf *conf, const char *text)
{
    if (text[0] != '/' || strstr(text, "/../") || !is_disk_path(conf, text))
        return false;
    return !strncmp(text, "/boot/", 6) || !strncmp(text, "/usr/", 5) ||
           !aw_in_folders(conf->shared_disk_folders, "shared_disk_folders", "", text, NULL);
}

/* ---- what there may be (libxl_types.idl of Xen) ---- */

static const struct rule c_info_rules[] = {
    { .name = "type", .good = is_word }, { .name = "hap" }, { .name = "oos" }, { .name = "name" }, { .name = "domid" }, { .name = "uuid" },
    { .name = "poolid" }, { .name = "pool_name", .good = is_word }, { .name = "run_hotplug_scripts" },
    { .name = "passthrough", .words = "default disabled unknown" }, { .name = "xend_suspend_evtchn_compat" },
    { .name = "driver_domain", .words = OFF }, { .name = NULL },
};

static const struct rule vnc_rules[] = {
    { .name = "enable" }, { .name = "listen", .good = is_listen }, { .name = "passwd" }, { .name = "display" }, { .name = "findunused" },
    { .name = NULL },
};

static const struct rule sdl_rules[] = { { .name = "enable", .words = OFF }, { .name = "opengl", .words = OFF }, { .name = NULL } };

static const struct rule spice_rules[] = {
    { .name = "enable", .words = OFF }, { .name = "disable_ticketing", .words = OFF }, { .name = "agent_mouse", .words = OFF },
    { .name = "vdagent", .words = OFF }, { .name = "clipboard_sharing", .words = OFF }, { .name = NULL },
};

static const struct rule vga_rules[] = { { .name = "kind", .good = is_word }, { .name = NULL } };

static const struct rule rdm_rules[] = { { .name = "strategy", .words = "ignore" }, { .name = "policy", .good = is_word }, { .name = NULL } };

static const struct rule hvm_rules[] = {
    { .name = "bios", .good = is_word }, { .name = "pae" }, { .name = "apic" }, { .name = "acpi" }, { .name = "acpi_s3" }, { .name = "acpi_s4" },
    { .name = "acpi_laptop_slate" }, { .name = "nx" }, { .name = "viridian" }, { .name = "viridian_enable" }, { .name = "viridian_disable" },
    { .name = "timeoffset", .good = is_word }, { .name = "hpet" }, { .name = "vpt_align" }, { .name = "mmio_hole_memkb" },
    { .name = "timer_mode" }, { .name = "hdtype", .good = is_word }, { .name = "nographic" }, { .name = "vga", .members = vga_rules },
    { .name = "vnc", .members = vnc_rules }, { .name = "keymap", .good = is_word }, { .name = "sdl", .members = sdl_rules },
    { .name = "spice", .members = spice_rules }, { .name = "serial", .words = "pty none" },
    { .name = "serial_list", .words = "pty none", .list = true }, { .name = "boot", .good = is_word }, { .name = "usb" },
    { .name = "usbversion" }, { .name = "usbdevice", .words = "tablet mouse keyboard" },
    { .name = "usbdevice_list", .words = "tablet mouse keyboard", .list = true }, { .name = "vkb_device" },
    { .name = "soundhw", .good = is_word }, { .name = "xen_platform_pci" }, { .name = "vendor_device", .words = "none" },
    { .name = "ms_vm_genid" }, { .name = "rdm", .members = rdm_rules }, { .name = "rdm_mem_boundary_memkb" }, { .name = "mca_caps" },
    { .name = "pirq" }, { .name = "nested_hvm", .words = OFF }, { .name = "altp2m", .words = OFF }, { .name = "gfx_passthru", .words = OFF },
    { .name = NULL },
};

static const struct rule pv_rules[] = {
    { .name = "kernel", .good = is_boot_file }, { .name = "ramdisk", .good = is_boot_file }, { .name = "cmdline" }, { .name = "slack_memkb" },
    { .name = "features" }, { .name = "e820_host", .words = OFF }, { .name = NULL },
};

static const struct rule pvh_rules[] = { { .name = "pvshim", .words = OFF }, { .name = NULL } };

static const struct rule arm_rules[] = {
    { .name = "gic_version" }, { .name = "vuart" }, { .name = "sve_vl" }, { .name = "nr_spis" }, { .name = NULL },
};

static const struct rule x86_rules[] = { { .name = "msr_relaxed" }, { .name = NULL } };

static const struct rule b_info_rules[] = {
    { .name = "max_vcpus" }, { .name = "avail_vcpus" }, { .name = "cpumap" }, { .name = "nodemap" }, { .name = "vcpu_hard_affinity" },
    { .name = "vcpu_soft_affinity" }, { .name = "numa_placement" }, { .name = "tsc_mode" }, { .name = "max_memkb" }, { .name = "target_memkb" },
    { .name = "video_memkb" }, { .name = "shadow_memkb" }, { .name = "iommu_memkb" }, { .name = "rtc_timeoffset" }, { .name = "localtime" },
    { .name = "disable_migrate" }, { .name = "cpuid" }, { .name = "blkdev_start", .good = is_word }, { .name = "vnuma_nodes" },
    { .name = "max_grant_frames" }, { .name = "max_maptrack_frames" }, { .name = "max_grant_version" },
    { .name = "device_model_version", .good = is_word }, { .name = "dm_restrict" }, { .name = "sched_params" }, { .name = "llc_colors" },
    { .name = "claim_mode" }, { .name = "event_channels" }, { .name = "kernel", .good = is_boot_file },
    { .name = "ramdisk", .good = is_boot_file }, { .name = "cmdline" }, { .name = "acpi" }, { .name = "bootloader_restrict" },
    { .name = "timer_mode" }, { .name = "apic" }, { .name = "tee", .words = "none" }, { .name = "type", .good = is_word },
    { .name = "type.pvh", .members = pvh_rules }, { .name = "type.pv", .members = pv_rules }, { .name = "type.hvm", .members = hvm_rules },
    { .name = "arch_arm", .members = arm_rules }, { .name = "arch_x86", .members = x86_rules }, { .name = "altp2m", .words = "disabled" },
    { .name = "device_model_stubdomain", .words = OFF }, { .name = "nested_hvm", .words = OFF }, { .name = "vpmu", .words = OFF },
    { .name = NULL },
};

static const struct rule disk_rules[] = {
    { .name = "pdev_path", .good = is_disk_path }, { .name = "vdev", .good = is_word }, { .name = "backend", .words = "unknown phy tap qdisk" },
    { .name = "format", .words = "unknown raw empty" }, { .name = "script", .good = is_disk_script }, { .name = "removable" },
    { .name = "readwrite" }, { .name = "is_cdrom" }, { .name = "direct_io_safe" }, { .name = "discard_enable" },
    { .name = "specification", .words = "unknown xen" }, { .name = "transport", .words = "unknown" }, { .name = "trusted" },
    { .name = "grant_usage" }, { .name = "colo_enable", .words = OFF }, { .name = "colo_restore_enable", .words = OFF }, { .name = NULL },
};

static const struct rule nic_rules[] = {
    { .name = "devid" }, { .name = "mtu" }, { .name = "vlan", .good = is_vlan }, { .name = "model", .good = is_word },
    { .name = "mac", .good = is_word }, { .name = "ip", .good = is_addresses }, { .name = "bridge", .good = is_word },
    { .name = "ifname", .good = is_word }, { .name = "script", .good = is_nic_script }, { .name = "nictype", .good = is_word },
    { .name = "rate_bytes_per_interval" }, { .name = "rate_interval_usecs" }, { .name = "gatewaydev", .good = is_word }, { .name = "trusted" },
    { .name = NULL },
};

static const struct rule vfb_rules[] = {
    { .name = "devid" }, { .name = "vnc", .members = vnc_rules }, { .name = "sdl", .members = sdl_rules }, { .name = "keymap", .good = is_word },
    { .name = NULL },
};

static const struct rule vkb_rules[] = {
    { .name = "devid" }, { .name = "backend_type", .good = is_word }, { .name = "unique_id", .good = is_word },
    { .name = "feature_disable_keyboard" }, { .name = "feature_disable_pointer" }, { .name = "feature_abs_pointer" },
    { .name = "feature_raw_pointer" }, { .name = "feature_multi_touch" }, { .name = "width" }, { .name = "height" },
    { .name = "multi_touch_width" }, { .name = "multi_touch_height" }, { .name = "multi_touch_num_contacts" }, { .name = NULL },
};

static const struct rule config_rules[] = {
    { .name = "c_info", .members = c_info_rules }, { .name = "b_info", .members = b_info_rules },
    { .name = "disks", .members = disk_rules, .list = true }, { .name = "nics", .members = nic_rules, .list = true },
    { .name = "vfbs", .members = vfb_rules, .list = true }, { .name = "vkbs", .members = vkb_rules, .list = true },
    { .name = "on_poweroff", .good = is_word }, { .name = "on_reboot", .good = is_word }, { .name = "on_watchdog", .good = is_word },
    { .name = "on_crash", .good = is_word }, { .name = "on_soft_reset", .good = is_word }, { .name = NULL },
};

/* ---- checking ---- */

/* As libxl would have it were it not there. */
static bool is_nothing(json_t *value)
{
    if (json_is_integer(value))
        return json_integer_value(value) == 0;
    if (json_is_string(value))
        return json_string_length(value) == 0;
    if (json_is_array(value) || json_is_object(value))
        return json_array_size(value) + json_object_size(value) == 0;
    return !value || json_is_null(value) || json_is_false(value);
}

static bool is_one_of(const char *text, const char *words)
{
    size_t len = strlen(text);

    for (const char *at = words, *end; *at; at = *end ? end + 1 : end) {
        end = strchrnul(at, ' ');
        if ((size_t)(end - at) == len && !strncmp(at, text, len))
            return true;
    }
    return false;
}

/* The peer made up the name, and a person reads it. */
static bool blame(char at[PATH_TEXT], const char *name)
{
    char behind[PATH_TEXT];

    memcpy(behind, at, PATH_TEXT);
    (void)snprintf(at, PATH_TEXT, "%.40s%s%.100s", name, *behind && *behind != '[' ? "." : "", behind);
    for (char *c = at; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
    return false;
}

static bool check_members(const struct fd_conf *conf, const struct rule *rules, json_t *object, char at[PATH_TEXT]);

static bool check_one(const struct fd_conf *conf, const struct rule *rule, json_t *value, char at[PATH_TEXT])
{
    const char *text = json_string_value(value);

    if (rule->members)
        return json_is_object(value) && check_members(conf, rule->members, value, at);
    if (rule->words)
        return text && is_one_of(text, rule->words);
    return !rule->good || (text && rule->good(conf, text));
}

static bool check_value(const struct fd_conf *conf, const struct rule *rule, json_t *value, char at[PATH_TEXT])
{
    json_t *one;
    char number[24];
    size_t i;

    if (is_nothing(value))
        return true;
    if (!rule->name)
        return false;
    if (!rule->list)
        return check_one(conf, rule, value, at);
    if (!json_is_array(value))
        return false;
    json_array_foreach(value, i, one)
        if (!check_one(conf, rule, one, at)) {
            (void)snprintf(number, sizeof(number), "[%zu]", i);
            return blame(at, number);
        }
    return true;
}

/* Else `at` is the path of the member that is at fault. */
static bool check_members(const struct fd_conf *conf, const struct rule *rules, json_t *object, char at[PATH_TEXT])
{
    const struct rule *rule;
    const char *name;
    json_t *value;

    json_object_foreach(object, name, value) {
        for (rule = rules; rule->name && strcmp(rule->name, name); rule++)
            ;
        if (!check_value(conf, rule, value, at))
            return blame(at, name);
    }
    return true;
}

/* Which member of a disk is in doubt, NULL: none. It is written to or not, and has a path unless it is an empty drive: what libxl opens is
 * what we look at. */
static const char *find_doubt(json_t *disk)
{
    json_t *path = json_object_get(disk, "pdev_path"), *writable = json_object_get(disk, "readwrite");
    const char *format = json_string_value(json_object_get(disk, "format"));
    bool no_medium = format && !strcmp(format, "empty"), is_drive = no_medium || !is_nothing(json_object_get(disk, "is_cdrom"));

    if (!is_nothing(writable) && (!json_is_integer(writable) || json_integer_value(writable) != 1))
        return "readwrite";
    return (is_nothing(path) ? is_drive : json_is_string(path) && !no_medium) ? NULL : "pdev_path";
}

static bool check_disks(json_t *disks, char at[PATH_TEXT])
{
    const char *doubt;
    json_t *d;
    size_t i;

    json_array_foreach(disks, i, d)
        if ((doubt = find_doubt(d))) {
            (void)snprintf(at, PATH_TEXT, "disks[%zu].%s", i, doubt);
            return false;
        }
    return true;
}

static int check(const struct fd_conf *conf, json_t *config, const char *name, struct flic_err *err)
{
    char at[PATH_TEXT] = "";

    if (check_members(conf, config_rules, config, at) && check_disks(json_object_get(config, "disks"), at))
        return 0;
    return flic_err_set(err, FLIC_E_REFUSED, "the configuration of '%s' has a '%s' that is not taken from another phone, for libxl would act upon it here: "
                        "start the guest without that on the phone it comes from (xl-flic(1) says what may come along)", name, at);
}

/* It becomes the name of log files. */
static bool is_name(const char *name)
{
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c < ' ' || *c == '/' || *c == 127)
            return false;
    return *name != '\0';
}

static bool is_of(json_t *config, const struct flic_uuid *guest, const char *name)
{
    json_t *info = json_object_get(config, "c_info");
    const char *uuid = json_string_value(json_object_get(info, "uuid")), *its = json_string_value(json_object_get(info, "name"));
    struct flic_uuid parsed;

    return uuid && its && flic_uuid_parse(uuid, &parsed) && flic_uuid_equal(&parsed, guest) && !strcmp(its, name) && is_name(name);
}

int pc_take(const struct fd_conf *conf, const char *text, const struct flic_uuid *guest, const char *name, char **ret_config, struct flic_err *err)
{
    json_error_t why = { .text = "" };
    json_t *config = json_loads(text, JSON_REJECT_DUPLICATES, &why);
    int rc = 0;

    *ret_config = NULL;
    if (!json_is_object(config))
        rc = flic_err_set(err, FLIC_E_PROTOCOL, "the configuration that came with '%s' is not libxl JSON, or has a member twice (line %d)", name, why.line);
    else if (!is_of(config, guest, name))
        rc = flic_err_set(err, FLIC_E_PROTOCOL, "the configuration that came with '%s' is of another guest", name);
    else
        rc = check(conf, config, name, err);
    if (!rc && !(*ret_config = json_dumps(config, JSON_COMPACT)))
        rc = flic_err_set(err, -ENOMEM, "write the configuration of '%s': out of memory", name);
    if (!rc && strlen(*ret_config) >= CK_CONFIG_MAX)
        rc = flic_err_set(err, FLIC_E_PROTOCOL, "the configuration that came with '%s' is too long", name);
    json_decref(config);
    if (rc) {
        free(*ret_config);
        *ret_config = NULL;
    }
    return rc;
}

/* ---- of a copy that is restored ---- */

struct copied { struct fd_daemon *daemon; const struct flic_uuid *guest; const char *from; };

static int check_copied(const struct fd_disk *disk, void *arg, struct flic_err *err)
{
    const struct copied *c = arg;
    struct aw_place place;

    if (!aw_in_either(&c->daemon->conf, disk->vdev, disk->path, NULL) ||
        (!aw_find_place(c->daemon, c->guest, disk->vdev, disk->path, &place, NULL) && place.is_there))
        return 0;
    return flic_err_set(err, FLIC_E_DISK, "disk %s: this checkpoint came from %s, and its guest would open '%s' here, which is in none of the folders of "
                        "disk_folders and shared_disk_folders in flicd.conf: name its folder there if it may", disk->vdev, c->from, disk->path);
}

int pc_check_copy(struct fd_daemon *daemon, const struct ck_root *root, struct flic_err *err)
{
    struct copied copied = { daemon, &root->facts.guest, NULL };
    json_t *list = json_loads(root->disks, 0, NULL), *one;
    char *config = NULL;
    size_t i;
    int rc = 0;

    json_array_foreach(list, i, one)
        if (!copied.from)
            copied.from = json_string_value(json_object_get(one, "elsewhere"));
    if (copied.from)
        rc = pc_take(&daemon->conf, root->config, &root->facts.guest, root->facts.name, &config, err);
    if (!rc && copied.from)
        rc = fd_disks_each(config, check_copied, &copied, err);
    json_decref(list);
    free(config);
    return rc;
}
