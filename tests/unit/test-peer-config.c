/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* The libxl configuration that a peer sends: what of it reaches libxl. The texts of whole guests are as libxl_domain_config_to_json() writes them. */
#include "daemon/daemon.h"
#include "daemon/peer_config.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char arm[] =
    "{\"c_info\":{\"type\":\"pvh\",\"name\":\"web\",\"uuid\":\"09090909-0909-0909-0909-090909090909\",\"run_hotplug_scripts\":\"True\"}"
    ",\"b_info\":{\"max_vcpus\":2,\"avail_vcpus\":[0,1],\"max_memkb\":524288,\"target_memkb\":524288,\"shadow_memkb\":5120,\"devic"
    "e_model_stubdomain\":\"False\",\"sched_params\":{\"sched\":\"credit2\",\"weight\":256,\"cap\":0},\"event_channels\":1023,\"kerne"
    "l\":\"/boot/vmlinuz\",\"cmdline\":\"console=hvc0 root=/dev/xvda\",\"ramdisk\":\"/usr/share/g.initrd\",\"nested_hvm\":\"False\","
    "\"type.pvh\":{},\"arch_arm\":{\"gic_version\":\"v3\",\"nr_spis\":0},\"arch_x86\":{}},\"disks\":[{\"pdev_path\":\"/guests/web.img\""
    ",\"vdev\":\"xvda\",\"backend\":\"phy\",\"format\":\"raw\",\"removable\":1,\"readwrite\":1,\"discard_enable\":\"True\"}],\"nics\":[{\"de"
    "vid\":0,\"mac\":\"00:16:3e:01:02:03\",\"bridge\":\"xenbr0\",\"script\":\"vif-bridge\",\"nictype\":\"vif\"}],\"on_reboot\":\"restart\""
    "}";

static const char pvh[] =
    "{\"c_info\":{\"type\":\"pvh\",\"name\":\"web\",\"uuid\":\"09090909-0909-0909-0909-090909090909\",\"run_hotplug_scripts\":\"True\"}"
    ",\"b_info\":{\"max_vcpus\":2,\"avail_vcpus\":[0,1],\"tsc_mode\":\"native\",\"max_memkb\":524288,\"target_memkb\":524288,\"shado"
    "w_memkb\":5120,\"device_model_stubdomain\":\"False\",\"sched_params\":{\"sched\":\"credit2\",\"weight\":256,\"cap\":0},\"event_c"
    "hannels\":1023,\"kernel\":\"/boot/vmlinuz\",\"cmdline\":\"console=hvc0 root=/dev/xvda\",\"ramdisk\":\"/usr/share/g.initrd\",\""
    "nested_hvm\":\"False\",\"type.pvh\":{},\"arch_arm\":{},\"arch_x86\":{}},\"disks\":[{\"pdev_path\":\"/guests/web.img\",\"vdev\":\"x"
    "vda\",\"backend\":\"phy\",\"format\":\"raw\",\"removable\":1,\"readwrite\":1,\"discard_enable\":\"True\"}],\"nics\":[{\"devid\":0,\"ma"
    "c\":\"00:16:3e:01:02:03\",\"ip\":\"10.0.0.5\",\"bridge\":\"xenbr0\",\"script\":\"/etc/xen/scripts/vif-bridge\",\"nictype\":\"vif\"}"
    "],\"on_reboot\":\"restart\"}";

static const char pv[] =
    "{\"c_info\":{\"type\":\"pv\",\"name\":\"web\",\"uuid\":\"09090909-0909-0909-0909-090909090909\",\"run_hotplug_scripts\":\"True\"},"
    "\"b_info\":{\"max_vcpus\":2,\"avail_vcpus\":[0,1],\"tsc_mode\":\"native\",\"max_memkb\":524288,\"target_memkb\":524288,\"shadow"
    "_memkb\":5120,\"device_model_stubdomain\":\"False\",\"sched_params\":{\"sched\":\"credit2\",\"weight\":256,\"cap\":0},\"event_ch"
    "annels\":1023,\"kernel\":\"/boot/vmlinuz\",\"cmdline\":\"console=hvc0 root=/dev/xvda\",\"ramdisk\":\"/usr/share/g.initrd\",\"n"
    "ested_hvm\":\"False\",\"type.pv\":{},\"arch_arm\":{},\"arch_x86\":{}},\"disks\":[{\"pdev_path\":\"/guests/web.img\",\"vdev\":\"xvd"
    "a\",\"backend\":\"phy\",\"format\":\"raw\",\"removable\":1,\"readwrite\":1,\"discard_enable\":\"True\"}],\"nics\":[{\"devid\":0,\"mac\""
    ":\"00:16:3e:01:02:03\",\"ip\":\"10.0.0.5\",\"bridge\":\"xenbr0\",\"script\":\"/etc/xen/scripts/vif-bridge\",\"nictype\":\"vif\"}],"
    "\"vfbs\":[{\"devid\":0,\"vnc\":{\"enable\":\"True\",\"listen\":\"127.0.0.1\"},\"sdl\":{}}],\"vkbs\":[{\"devid\":0}],\"on_reboot\":\"res"
    "tart\"}";

static const char hvm[] =
    "{\"c_info\":{\"type\":\"hvm\",\"name\":\"web\",\"uuid\":\"09090909-0909-0909-0909-090909090909\",\"run_hotplug_scripts\":\"True\"}"
    ",\"b_info\":{\"max_vcpus\":2,\"avail_vcpus\":[0,1],\"tsc_mode\":\"native\",\"max_memkb\":524288,\"target_memkb\":524288,\"shado"
    "w_memkb\":5120,\"device_model_version\":\"qemu_xen\",\"device_model_stubdomain\":\"False\",\"sched_params\":{\"sched\":\"credi"
    "t2\",\"weight\":256,\"cap\":0},\"event_channels\":1023,\"kernel\":\"/boot/vmlinuz\",\"cmdline\":\"console=hvc0 root=/dev/xvda\""
    ",\"ramdisk\":\"/usr/share/g.initrd\",\"nested_hvm\":\"False\",\"type.hvm\":{\"bios\":\"seabios\",\"vga\":{\"kind\":\"std\"},\"vnc\":{\""
    "enable\":\"True\"},\"sdl\":{\"enable\":\"False\"},\"spice\":{\"enable\":\"False\"},\"serial\":\"pty\",\"boot\":\"c\",\"rdm\":{},\"acpi\":\"T"
    "rue\",\"usbdevice\":\"tablet\",\"usb\":\"True\",\"keymap\":\"en-us\",\"viridian\":\"False\"},\"arch_arm\":{},\"arch_x86\":{}},\"disks\""
    ":[{\"pdev_path\":\"/guests/web.img\",\"vdev\":\"xvda\",\"backend\":\"phy\",\"format\":\"raw\",\"removable\":1,\"readwrite\":1,\"disca"
    "rd_enable\":\"True\"},{\"pdev_path\":\"\",\"vdev\":\"hdc\",\"format\":\"empty\",\"removable\":1,\"is_cdrom\":1}],\"nics\":[{\"devid\":0"
    ",\"mac\":\"00:16:3e:01:02:03\",\"ip\":\"10.0.0.5\",\"bridge\":\"xenbr0\",\"script\":\"/etc/xen/scripts/vif-bridge\",\"nictype\":\"v"
    "if_ioemu\",\"model\":\"e1000\"}],\"vfbs\":[{\"devid\":0,\"vnc\":{\"enable\":\"True\",\"listen\":\"127.0.0.1\"},\"sdl\":{}}],\"vkbs\":[{"
    "\"devid\":0}],\"on_reboot\":\"restart\"}";

static struct flic_uuid guest;
static struct fd_conf conf;
static struct flic_err err;
static char *taken;

/* main.c's, which is not in the library. */
int fd_check_ready(const struct fd_daemon *daemon, struct flic_err *why)
{
    (void)daemon;
    (void)why;
    return 0;
}

static void set_up(void)
{
    memset(guest.b, 9, sizeof(guest.b));
    memset(&conf, 0, sizeof(conf));
}

static void tear_down(void)
{
    free(taken);
    taken = NULL;
}

static int take(const char *text)
{
    free(taken);
    taken = NULL;
    err = (struct flic_err){ 0 };
    return pc_take(&conf, text, &guest, "web", &taken, &err);
}

static json_t *step(json_t *at, const char *name)
{
    return json_is_array(at) ? json_array_get(at, (size_t)atoi(name)) : json_object_get(at, name);
}

/* The guest with one member as said: "b_info/iomem", "disks/0/script". */
static int take_with(const char *whole, const char *where, const char *value)
{
    json_t *config = json_loads(whole, 0, NULL), *at = config, *new_value = json_loads(value, JSON_DECODE_ANY, NULL);
    char path[200], *rest = path, *name, *text;
    int rc;

    ck_assert(config && new_value);
    (void)snprintf(path, sizeof(path), "%s", where);
    while ((name = strsep(&rest, "/")) && rest)
        at = step(at, name);
    ck_assert_msg(json_is_object(at), "%s", where);
    ck_assert_int_eq(json_object_set_new(at, name, new_value), 0);
    text = json_dumps(config, 0);
    json_decref(config);
    rc = take(text);
    free(text);
    return rc;
}

static void must_refuse(const char *whole, const char *where, const char *value)
{
    char shown[200], *c;

    ck_assert_msg(take_with(whole, where, value) == FLIC_E_REFUSED, "%s: %s: %s", where, value, err.text);
    ck_assert(!taken);
    (void)snprintf(shown, sizeof(shown), "%s", where);
    for (c = shown; (c = strchr(c, '/')); )      /* disks/0/script: disks[0].script */
        if (c[1] >= '0' && c[1] <= '9') {
            *c = '[';
            c[2] = c[2] ? ']' : c[2];
            memmove(c + 4, c + 3, strlen(c + 3) + 1);
            c[3] = '.';
        } else {
            *c = '.';
        }
    ck_assert_msg(strstr(err.text, shown) != NULL, "%s: %s", shown, err.text);
}

static void must_take(const char *whole, const char *where, const char *value)
{
    ck_assert_msg(!take_with(whole, where, value), "%s: %s: %s", where, value, err.text);
}

START_TEST(a_guest_as_libxl_writes_it_down_passes_and_means_the_same)
{
    const char *const all[] = { arm, pvh, pv, hvm };

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        json_t *before = json_loads(all[i], JSON_REJECT_DUPLICATES, NULL), *after;

        ck_assert_msg(!take(all[i]), "%s", err.text);
        after = json_loads(taken, JSON_REJECT_DUPLICATES, NULL);
        ck_assert(before && json_equal(before, after));
        json_decref(before);
        json_decref(after);
    }
}
END_TEST

START_TEST(what_was_taken_is_taken_again_as_it_is)
{
    char *once;

    ck_assert_int_eq(take(hvm), 0);
    once = taken;
    taken = NULL;
    ck_assert_int_eq(take(once), 0);
    ck_assert_str_eq(once, taken);
    free(once);
}
END_TEST

#define C_INFO "\"c_info\":{\"name\":\"web\",\"uuid\":\"09090909-0909-0909-0909-090909090909\"}"
#define DISK(paths) "{" C_INFO ",\"disks\":[{" paths ",\"vdev\":\"xvda\",\"readwrite\":1}]}"

START_TEST(invariant_7_a_member_that_comes_twice_is_refused_whichever_of_the_two_is_harmless)
{
    static const char *const texts[] = {
        DISK("\"pdev_path\":\"/dev/mmcblk0\",\"pdev_path\":\"/guests/a.img\""),
        DISK("\"pdev_path\":\"/guests/a.img\",\"pdev_path\":\"/dev/mmcblk0\""),
        DISK("\"pdev_path\":\"/guests/a.img\",\"pdev_\\u0070ath\":\"/dev/mmcblk0\""),
        "{\"c_info\":{\"name\":\"other\",\"uuid\":\"08080808-0808-0808-0808-080808080808\"}," C_INFO "}",
        "{" C_INFO ",\"c_info\":{\"name\":\"other\",\"uuid\":\"08080808-0808-0808-0808-080808080808\"}}",
        "{" C_INFO ",\"disks\":[],\"disks\":[{\"pdev_path\":\"/dev/mmcblk0\",\"vdev\":\"xvda\"}]}",
        "{" C_INFO ",\"b_info\":{\"type.hvm\":{\"vnc\":{\"listen\":\"::1\",\"listen\":\"::1\"}}}}",
        "{" C_INFO ",\"b_info\":{\"sched_params\":{\"weight\":1,\"weight\":2}}}",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        ck_assert_msg(take(texts[i]) == FLIC_E_PROTOCOL, "%s", texts[i]);
    ck_assert_msg(strstr(err.text, "twice") != NULL, "%s", err.text);
    ck_assert_int_eq(take(DISK("\"pdev_path\":\"/guests/a.img\"")), 0);
}
END_TEST

START_TEST(invariant_7_what_is_no_configuration_or_another_guests_is_refused)
{
    static const char *const texts[] = {
        "", "{}", "[]", "7", "{" C_INFO, "{" C_INFO "} {}", "{\"c_info\":7}", "{\"c_info\":{\"name\":\"web\"}}",
        "{\"c_info\":{\"name\":\"web\",\"uuid\":\"08080808-0808-0808-0808-080808080808\"}}",
        "{\"c_info\":{\"name\":\"weg\",\"uuid\":\"09090909-0909-0909-0909-090909090909\"}}",
        "{" C_INFO ",\"b_info\":{\"cmdline\":\"a\\u0000b\"}}",
    };
    char *big = malloc(300000);

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        ck_assert_msg(take(texts[i]) == FLIC_E_PROTOCOL && !taken, "%s", texts[i]);
    ck_assert(big != NULL);
    (void)snprintf(big, 300000, "{" C_INFO ",\"b_info\":{\"cmdline\":\"%0280000d\"}}", 0);
    ck_assert_int_eq(take(big), FLIC_E_PROTOCOL);
    free(big);
    ck_assert_int_eq(pc_take(&conf, "{\"c_info\":{\"name\":\"../a\",\"uuid\":\"09090909-0909-0909-0909-090909090909\"}}", &guest, "../a", &taken, &err),
                     FLIC_E_PROTOCOL);
    ck_assert_int_eq(take("{" C_INFO "}"), 0);
}
END_TEST

START_TEST(invariant_7_what_libxl_would_act_upon_as_root_is_refused_and_named)
{
    static const char *const bad[][2] = {
        { "pcidevs", "[{\"dev\":1}]" }, { "dtdevs", "[{\"path\":\"/soc/uart\"}]" }, { "rdms", "[{\"start\":4096}]" }, { "usbctrls", "[{}]" },
        { "usbdevs", "[{\"type.hostdev\":{\"hostbus\":1}}]" }, { "vtpms", "[{}]" }, { "p9s", "[{\"path\":\"/\"}]" }, { "pvcallsifs", "[{}]" },
        { "vdispls", "[{}]" }, { "vsnds", "[{}]" }, { "virtios", "[{}]" }, { "channels", "[{\"connection\":\"socket\",\"path\":\"/run/x\"}]" },
        { "something_new", "true" }, { "something_new", "\"False\"" },
        { "c_info/xsdata", "{\"a\":\"b\"}" }, { "c_info/platformdata", "{\"a\":\"b\"}" }, { "c_info/driver_domain", "\"True\"" },
        { "c_info/driver_domain", "true" }, { "c_info/passthrough", "\"enabled\"" }, { "c_info/ssidref", "1" }, { "c_info/ssid_label", "\"dom0_t\"" },
        { "b_info/iomem", "[{\"start\":1,\"number\":1}]" }, { "b_info/irqs", "[5]" }, { "b_info/ioports", "[{\"first\":1,\"number\":1}]" },
        { "b_info/device_model", "\"/tmp/x\"" }, { "b_info/device_model_user", "\"root\"" }, { "b_info/device_model_stubdomain", "\"True\"" },
        { "b_info/device_model_ssidref", "1" }, { "b_info/stubdomain_kernel", "\"/x\"" }, { "b_info/stubdomain_ramdisk", "\"/x\"" },
        { "b_info/stubdomain_cmdline", "\"x\"" }, { "b_info/extra", "[\"-chardev\"]" }, { "b_info/extra_pv", "[\"-x\"]" },
        { "b_info/extra_hvm", "[\"-x\"]" }, { "b_info/bootloader", "\"/bin/sh\"" }, { "b_info/bootloader_args", "[\"-c\"]" },
        { "b_info/bootloader_user", "\"root\"" }, { "b_info/device_tree", "\"/x\"" }, { "b_info/exec_ssidref", "1" }, { "b_info/tee", "\"optee\"" },
        { "b_info/nested_hvm", "\"True\"" }, { "b_info/vpmu", "\"True\"" }, { "b_info/altp2m", "\"external\"" }, { "b_info/vmtrace_buf_kb", "64" },
        { "b_info/blkdev_start", "\"../x\"" }, { "b_info/arch_arm/new", "1" },
        { "disks/0/backend_domid", "3" }, { "disks/0/backend_domname", "\"dd\"" }, { "disks/0/backend", "\"standalone\"" },
        { "disks/0/specification", "\"virtio\"" }, { "disks/0/colo_enable", "\"True\"" }, { "disks/0/active_disk", "\"/x\"" },
        { "disks/0/hidden_disk", "\"/x\"" }, { "disks/0/colo_host", "\"x\"" }, { "disks/0/vdev", "\"xvda,x\"" }, { "disks/0/irq", "5" },
        { "nics/0/backend_domid", "3" }, { "nics/0/backend_domname", "\"dd\"" }, { "nics/0/ifname", "\"a,script=/x\"" }, { "nics/0/ifname", "\"../a\"" },
        { "nics/0/model", "\"e1000,x\"" }, { "nics/0/bridge", "\"-x\"" }, { "nics/0/bridge", "\"a b\"" }, { "nics/0/ip", "\"$(x)\"" },
        { "nics/0/gatewaydev", "\"a;b\"" }, { "nics/0/colo_compare_out", "\"x\"" },
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        must_refuse(arm, bad[i][0], bad[i][1]);
}
END_TEST

START_TEST(invariant_7_of_what_a_device_model_is_told_nothing_leads_out_of_the_guest)
{
    static const char *const bad[][2] = {
        { "vfbs/0/backend_domid", "1" }, { "vfbs/0/vnc/listen", "\"unix:/x\"" }, { "vfbs/0/vnc/listen", "\"::1,tls\"" }, { "vfbs/0/keymap", "\"/x\"" },
        { "vfbs/0/sdl", "{\"enable\":\"True\"}" }, { "vfbs/0/sdl", "{\"xauthority\":\"/x\"}" }, { "vkbs/0/backend_domname", "\"x\"" },
        { "b_info/type.hvm/vnc/listen", "\"unix:/x\"" }, { "b_info/type.hvm/spice/enable", "\"True\"" }, { "b_info/type.hvm/sdl/enable", "\"True\"" },
        { "b_info/type.hvm/serial", "\"file:/x\"" }, { "b_info/type.hvm/serial_list", "[\"pty\",\"tcp:x\"]" }, { "b_info/type.hvm/usbdevice", "\"host:1\"" },
        { "b_info/type.hvm/usbdevice_list", "[\"disk:/x\"]" }, { "b_info/type.hvm/firmware", "\"/x\"" }, { "b_info/type.hvm/system_firmware", "\"/x\"" },
        { "b_info/type.hvm/smbios_firmware", "\"/x\"" }, { "b_info/type.hvm/acpi_firmware", "\"/x\"" }, { "b_info/type.hvm/gfx_passthru", "\"True\"" },
        { "b_info/type.hvm/soundhw", "\"x,y\"" }, { "b_info/type.hvm/boot", "\"c,x\"" }, { "b_info/type.hvm/rdm/strategy", "\"host\"" },
        { "b_info/type.hvm/nested_hvm", "\"True\"" }, { "b_info/type.hvm/new", "[1]" },
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(take_with(hvm, bad[i][0], bad[i][1]) == FLIC_E_REFUSED, "%s: %s: %s", bad[i][0], bad[i][1], err.text);
    must_refuse(pvh, "b_info/type.pvh/pvshim", "\"True\"");
    must_refuse(pvh, "b_info/type.pvh/pvshim_path", "\"/x\"");
    must_refuse(pv, "b_info/type.pv/bootloader", "\"pygrub\"");
    must_refuse(pv, "b_info/type.pv/kernel", "\"/etc/shadow\"");
    must_refuse(pv, "b_info/type.pv/e820_host", "\"True\"");
}
END_TEST

START_TEST(members_that_say_nothing_pass)
{
    static const char *const good[][2] = {
        { "pcidevs", "[]" }, { "pcidevs", "null" }, { "b_info/iomem", "[]" }, { "b_info/device_model", "\"\"" }, { "b_info/bootloader", "null" },
        { "b_info/device_model_stubdomain", "\"<default>\"" }, { "b_info/device_model_stubdomain", "false" }, { "b_info/vpmu", "\"False\"" },
        { "disks/0/backend_domid", "0" }, { "nics/0/backend_domid", "0" }, { "c_info/xsdata", "{}" }, { "nics", "[]" }, { "nics", "null" },
        { "c_info/passthrough", "\"disabled\"" }, { "b_info/cmdline", "\"root=/dev/xvda ; rm\"" }, { "b_info/cpuid", "[{\"leaf\":1,\"eax\":\"x\"}]" },
    };

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        must_take(arm, good[i][0], good[i][1]);
}
END_TEST

START_TEST(invariant_7_a_script_is_a_device_script_of_this_phones_own)
{
    static const char *const bad[] = { "\"/tmp/vif-x\"", "\"/etc/xen/scripts/../vif-x\"", "\"/etc/xen/scripts/vif/x\"", "\"vif/../x\"", "\"../vif-bridge\"",
                                       "\"launch-xenstore\"", "\"/etc/xen/scripts/launch-xenstore\"", "\"vif-bridge x\"", "\"/etc/xen/scripts//vif-x\"",
                                       "[\"vif-bridge\"]", "7" };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        must_refuse(arm, "nics/0/script", bad[i]);
    must_take(arm, "nics/0/script", "\"vif-route\"");
    must_take(arm, "nics/0/script", "\"/etc/xen/scripts/vif-openvswitch\"");
    must_take(arm, "nics/0/script", "null");
    must_refuse(arm, "disks/0/script", "\"/tmp/block\"");
    must_refuse(arm, "disks/0/script", "\"vif-bridge\"");
    must_refuse(arm, "disks/0/script", "\"/etc/xen/scripts/block/../../x\"");
    must_take(arm, "disks/0/script", "\"block\"");
}
END_TEST

START_TEST(invariant_7_a_disk_is_one_raw_file_and_no_more)
{
    static const char *const formats[] = { "\"qcow2\"", "\"qcow\"", "\"vhd\"", "\"qed\"", "\"QCOW2\"", "\"RAW\"", "\"raw \"", "3", "true" };

    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
        must_refuse(arm, "disks/0/format", formats[i]);
    must_take(arm, "disks/0/format", "\"unknown\"");
    must_take(arm, "disks/0/format", "null");
    must_refuse(arm, "disks/0/pdev_path", "\"/guests/a.img,file.locking=off\"");
    must_refuse(arm, "disks/0/pdev_path", "\"/guests/a\\nb\"");
    must_refuse(arm, "disks/0/pdev_path", "7");
    must_refuse(arm, "disks/0/pdev_path", "\"\"");
    must_refuse(arm, "disks/0/readwrite", "2");
    must_refuse(arm, "disks/0/readwrite", "1.0");
    must_refuse(arm, "disks/0/readwrite", "true");
    must_take(arm, "disks/0/readwrite", "0");
    ck_assert_int_eq(take_with(arm, "disks/0/format", "\"empty\""), FLIC_E_REFUSED);        /* and yet a path */
    ck_assert_int_eq(take_with(arm, "disks", "[{}]"), FLIC_E_REFUSED);
    ck_assert_int_eq(take_with(arm, "disks", "[null]"), FLIC_E_REFUSED);
    ck_assert_int_eq(take_with(arm, "disks", "[[]]"), FLIC_E_REFUSED);
    ck_assert_int_eq(take_with(arm, "disks", "{\"0\":{}}"), FLIC_E_REFUSED);
}
END_TEST

START_TEST(invariant_7_a_guest_that_reboots_here_reads_no_file_that_is_not_for_that)
{
    char folder[] = "/tmp/flic-peer-config.XXXXXX", path[64];

    must_refuse(arm, "b_info/ramdisk", "\"/etc/shadow\"");
    must_refuse(arm, "b_info/ramdisk", "\"/usr/../etc/shadow\"");
    must_refuse(arm, "b_info/kernel", "\"boot/vmlinuz\"");
    must_take(arm, "b_info/kernel", "\"/boot/vmlinuz-6.12\"");
    ck_assert(mkdtemp(folder) != NULL);
    (void)snprintf(path, sizeof(path), "\"%s/vmlinuz\"", folder);
    must_refuse(arm, "b_info/kernel", path);
    (void)snprintf(conf.shared_disk_folders, sizeof(conf.shared_disk_folders), "\n%s\n", folder);
    must_take(arm, "b_info/kernel", path);
    ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

START_TEST(a_members_name_that_is_no_text_for_a_person_is_shown_as_one)
{
    ck_assert_int_eq(take("{" C_INFO ",\"a\\u001b[2Jb\\n\":1}"), FLIC_E_REFUSED);
    ck_assert_msg(strstr(err.text, "a?[2Jb?") != NULL, "%s", err.text);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("peer-config");
    TCase *t = tcase_create("peer-config");

    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, a_guest_as_libxl_writes_it_down_passes_and_means_the_same);
    tcase_add_test(t, what_was_taken_is_taken_again_as_it_is);
    tcase_add_test(t, invariant_7_a_member_that_comes_twice_is_refused_whichever_of_the_two_is_harmless);
    tcase_add_test(t, invariant_7_what_is_no_configuration_or_another_guests_is_refused);
    tcase_add_test(t, invariant_7_what_libxl_would_act_upon_as_root_is_refused_and_named);
    tcase_add_test(t, invariant_7_of_what_a_device_model_is_told_nothing_leads_out_of_the_guest);
    tcase_add_test(t, members_that_say_nothing_pass);
    tcase_add_test(t, invariant_7_a_script_is_a_device_script_of_this_phones_own);
    tcase_add_test(t, invariant_7_a_disk_is_one_raw_file_and_no_more);
    tcase_add_test(t, invariant_7_a_guest_that_reboots_here_reads_no_file_that_is_not_for_that);
    tcase_add_test(t, a_members_name_that_is_no_text_for_a_person_is_shown_as_one);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *runner = srunner_create(suite());
    int failed;

    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
