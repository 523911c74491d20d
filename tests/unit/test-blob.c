/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* What flicd parses before it believes it: the machine state, and the reference to a checkpoint. */
#include "libxl-ext/flx_blob.h"

#include "common/bytes.h"
#include "common/id.h"
#include "hypervisor/files/xen/include/public/arch-arm/hvm/save.h"
#include "libxl-ext/reference.h"

#include <check.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define HZ UINT64_C(62500000)
#define COUNTER UINT64_C(1000000)

static uint8_t context[4096];
static size_t context_len;
static void *bytes;
static size_t len;
static struct flx_blob blob;
static struct flic_err err;

static void add_record_of(uint16_t type, uint16_t instance, const void *body, uint32_t n)
{
    memcpy(context + context_len, &type, 2);
    memcpy(context + context_len + 2, &instance, 2);
    memcpy(context + context_len + 4, &n, 4);
    if (n)
        memcpy(context + context_len + 8, body, n);
    context_len += 8 + n;
}

static void add_record(uint16_t type, const void *body, uint32_t n)
{
    add_record_of(type, 0, body, n);
}

static void make_context(void)
{
    struct xen_arm_save_header h = { .magic = XEN_ARM_SAVE_MAGIC, .version = XEN_ARM_SAVE_VERSION, .midr = 0x414fd0b1,
                                     .cntfrq = HZ, .cntvct = COUNTER, .gic_version = 2, .hw_gic_version = 2, .nr_vcpus = 2 };
    struct xen_arm_save_domain d = { .shared_info_gfn = 0x42a3d, .vm_assist = 0x20 };

    context_len = 0;
    add_record(XEN_ARM_SAVE_HEADER, &h, sizeof(h));
    add_record(XEN_ARM_SAVE_DOMAIN, &d, sizeof(d));
    add_record(0, NULL, 0);
}

static struct flx_blob sample(void)
{
    struct flx_blob b = { .arch = "arm64", .gfn_end = 0x50000, .shared_info_gfn = 0x42a3d, .vcpus = 2, .width = 64,
                          .params = { { 0, 5 }, { 1, 0x39001 }, { 17, 0x39000 } }, .n_params = 3 };

    b.context = context;
    b.context_len = context_len;
    return b;
}

static void set_up(void)
{
    struct flx_blob b;

    make_context();
    b = sample();
    ck_assert_msg(flx_blob_build(&b, &bytes, &len, &err) == 0, "%s", err.text);
}

/* ---- x86: Xen's own records, and three parts more ---- */

#define X86_CPU_LEN (FLX_X86_CPU_TSC + 24)

static void make_x86_context(void)
{
    struct { uint32_t magic, version; uint64_t changeset; uint32_t cpuid, khz; } h = { FLX_X86_MAGIC, FLX_X86_VERSION, ~0ull,
                                                                                       0x663, HZ / 1000 };
    uint8_t cpu[X86_CPU_LEN] = { 0 };

    context_len = 0;
    add_record(1, &h, sizeof(h));
    for (uint16_t i = 0; i < 2; i++) {
        uint64_t tsc = COUNTER + i;

        memcpy(cpu + FLX_X86_CPU_TSC, &tsc, 8);
        add_record_of(2, i, cpu, sizeof(cpu));
    }
    add_record(0, NULL, 0);
}

static struct flx_blob x86_sample(void)
{
    static const uint32_t leaves[2][6] = { { 0, ~0u, 0xd }, { 1, ~0u, 0x663 } };
    static const uint64_t msrs[1][2] = { { 0xce, 1 } };
    struct flx_blob b = { .arch = "x86_64", .gfn_end = 0xff000, .shared_info_gfn = 0x1e6b, .vcpus = 2, .width = 64,
                          .params = { { 1, 0xfeffc }, { 17, 0xfefff } }, .n_params = 2,
                          .x86 = { .tsc_mode = 2, .tsc_khz = HZ / 1000, .tsc_ns = 77, .tsc_incarnation = 3,
                                   .cpuid = leaves, .n_cpuid = 2, .msrs = msrs, .n_msrs = 1 } };

    b.context = context;
    b.context_len = context_len;
    return b;
}

static void set_up_x86(void)
{
    struct flx_blob b;

    make_x86_context();
    b = x86_sample();
    ck_assert_msg(flx_blob_build(&b, &bytes, &len, &err) == 0, "%s", err.text);
}

static void tear_down(void)
{
    free(bytes);
}

/* Puts the right checksum under bytes that were changed, so that what is behind it gets tested. */
static void sum_again(void)
{
    uint64_t sum = flic_checksum(bytes, len - 8);

    memcpy((char *)bytes + len - 8, &sum, 8);
}

static size_t find_bytes(const void *what, size_t n)
{
    const uint8_t *at = memmem(bytes, len, what, n);

    ck_assert_ptr_nonnull(at);
    return (size_t)(at - (const uint8_t *)bytes);
}

START_TEST(a_machine_state_comes_back_as_it_was)
{
    ck_assert_int_eq(flx_blob_parse(bytes, len, &blob, &err), 0);
    ck_assert_str_eq(blob.arch, "arm64");
    ck_assert_uint_eq(blob.gfn_end, 0x50000);
    ck_assert_uint_eq(blob.shared_info_gfn, 0x42a3d);
    ck_assert_uint_eq(blob.vcpus, 2);
    ck_assert_uint_eq(flx_blob_param(&blob, 1), 0x39001);
    ck_assert_uint_eq(flx_blob_param(&blob, 2), FLX_NO_PARAM);
    ck_assert_uint_eq(blob.context_len, context_len);
    ck_assert_mem_eq(blob.context, context, context_len);
    ck_assert_uint_eq(blob.machine.gic, 3);
    ck_assert_uint_eq(blob.machine.midr, 0x414fd0b1);
    ck_assert_uint_eq(blob.machine.counter_hz, HZ);
}
END_TEST

START_TEST(any_flipped_bit_is_found)
{
    for (size_t i = 0; i < len * 8; i++) {
        ((uint8_t *)bytes)[i / 8] ^= (uint8_t)(1u << (i % 8));
        ck_assert_int_ne(flx_blob_parse(bytes, len, &blob, &err), 0);
        ((uint8_t *)bytes)[i / 8] ^= (uint8_t)(1u << (i % 8));
    }
    ck_assert_int_eq(flx_blob_parse(bytes, len, &blob, &err), 0);
}
END_TEST

START_TEST(any_cut_is_found)
{
    for (size_t n = 0; n < len; n++) {
        void *exact = malloc(n ? n : 1);        /* a read past the end is seen by the sanitizer */

        memcpy(exact, bytes, n);
        ck_assert_int_ne(flx_blob_parse(exact, n, &blob, &err), 0);
        free(exact);
    }
}
END_TEST

/* With the checksum made right again nothing may be read out of bounds, whatever the verdict. */
START_TEST(any_byte_changed_under_a_right_checksum_is_harmless)
{
    for (size_t i = 0; i < len - 8; i++) {
        uint8_t was = ((uint8_t *)bytes)[i];
        static const uint8_t values[] = { 0, 1, 0x7f, 0x80, 0xff };

        for (size_t v = 0; v < sizeof(values); v++) {
            ((uint8_t *)bytes)[i] = values[v];
            sum_again();
            if (flx_blob_parse(bytes, len, &blob, &err) == 0) {
                ck_assert_uint_le(blob.n_params, FLX_BLOB_PARAMS);
                ck_assert_uint_lt(strlen(blob.arch), sizeof(blob.arch));
                free(flx_blob_context_later(&blob, UINT64_MAX));
            }
        }
        ((uint8_t *)bytes)[i] = was;
    }
}
END_TEST

START_TEST(another_version_is_told_apart_from_damage)
{
    uint32_t version = 2;

    memcpy((char *)bytes + 8, &version, 4);
    sum_again();
    ck_assert_int_eq(flx_blob_parse(bytes, len, &blob, &err), FLIC_E_VERSION);
}
END_TEST

START_TEST(a_context_of_another_version_is_told_apart_from_damage)
{
    uint32_t magic = XEN_ARM_SAVE_MAGIC, version = XEN_ARM_SAVE_VERSION + 1;

    memcpy((char *)bytes + find_bytes(&magic, 4) + 4, &version, 4);
    sum_again();
    ck_assert_int_eq(flx_blob_parse(bytes, len, &blob, &err), FLIC_E_VERSION);
}
END_TEST

START_TEST(a_context_for_other_vcpus_is_damage)
{
    struct flx_blob b = sample();
    void *other = NULL;
    size_t n = 0;

    b.vcpus = 3;
    ck_assert_int_eq(flx_blob_build(&b, &other, &n, &err), FLIC_E_DAMAGED);
    ck_assert_ptr_null(other);
}
END_TEST

START_TEST(a_context_without_its_end_is_refused_when_written)
{
    struct flx_blob b = sample();
    void *other = NULL;
    size_t n = 0;

    b.context_len -= 8;
    ck_assert_int_eq(flx_blob_build(&b, &other, &n, &err), FLIC_E_DAMAGED);
    ck_assert_ptr_null(other);
}
END_TEST

static uint64_t counter_after(uint64_t elapsed_ns)
{
    struct xen_arm_save_header h;
    uint8_t *later;

    ck_assert_int_eq(flx_blob_parse(bytes, len, &blob, &err), 0);
    later = flx_blob_context_later(&blob, elapsed_ns);
    ck_assert_ptr_nonnull(later);
    memcpy(&h, later + 8, sizeof(h));
    memcpy(later + 8 + offsetof(struct xen_arm_save_header, cntvct), &blob.machine.counter, 8);
    ck_assert_mem_eq(later, context, context_len);      /* and nothing else was touched */
    free(later);
    return h.cntvct;
}

START_TEST(invariant_14_the_counter_moves_by_the_time_that_passed_and_never_back)
{
    ck_assert_uint_eq(counter_after(0), COUNTER);
    ck_assert_uint_eq(counter_after(1000000000), COUNTER + HZ);
    ck_assert_uint_eq(counter_after(UINT64_C(86400) * 365 * 1000000000), COUNTER + HZ * 86400 * 365);
    ck_assert_uint_ge(counter_after(UINT64_MAX), COUNTER);
}
END_TEST

START_TEST(an_x86_machine_state_comes_back_as_it_was)
{
    struct flx_blob was = x86_sample();

    ck_assert_msg(flx_blob_parse(bytes, len, &blob, &err) == 0, "%s", err.text);
    ck_assert_str_eq(blob.arch, "x86_64");
    ck_assert_uint_eq(blob.machine.counter_hz, HZ);
    ck_assert_uint_eq(blob.machine.gic, 0);
    ck_assert_uint_eq(blob.x86.tsc_mode, 2);
    ck_assert_uint_eq(blob.x86.tsc_khz, HZ / 1000);
    ck_assert_uint_eq(blob.x86.tsc_ns, 77);
    ck_assert_uint_eq(blob.x86.tsc_incarnation, 3);
    ck_assert_uint_eq(blob.x86.n_cpuid, 2);
    ck_assert_mem_eq(blob.x86.cpuid, was.x86.cpuid, 2 * FLX_X86_CPUID_LEN);
    ck_assert_uint_eq(blob.x86.n_msrs, 1);
    ck_assert_mem_eq(blob.x86.msrs, was.x86.msrs, FLX_X86_MSR_LEN);
    ck_assert_mem_eq(blob.context, context, context_len);
}
END_TEST

START_TEST(invariant_14_every_vcpu_of_an_x86_guest_has_its_counter_moved)
{
    static const uint64_t elapsed[] = { 0, 1000000000, UINT64_MAX };

    ck_assert_int_eq(flx_blob_parse(bytes, len, &blob, &err), 0);
    for (size_t e = 0; e < 3; e++) {
        uint8_t *later = flx_blob_context_later(&blob, elapsed[e]);

        ck_assert_ptr_nonnull(later);
        for (uint64_t i = 0; i < 2; i++) {
            uint8_t *at = later + 8 + FLX_X86_HEADER_LEN + i * (8 + X86_CPU_LEN) + 8 + FLX_X86_CPU_TSC;
            uint64_t was = COUNTER + i, tsc;

            memcpy(&tsc, at, 8);
            if (e < 2)
                ck_assert_uint_eq(tsc, was + e * HZ);
            ck_assert_uint_ge(tsc, was);
            memcpy(at, &was, 8);
        }
        ck_assert_mem_eq(later, context, context_len);      /* and nothing else was touched */
        free(later);
    }
}
END_TEST

START_TEST(an_x86_state_without_a_cpu_policy_is_damage)
{
    struct flx_blob b = x86_sample();
    void *other = NULL;
    size_t n = 0;

    b.x86.n_cpuid = 0;
    ck_assert_int_eq(flx_blob_build(&b, &other, &n, &err), FLIC_E_DAMAGED);
}
END_TEST

START_TEST(a_vcpu_that_an_x86_guest_does_not_have_is_damage)
{
    struct flx_blob b = x86_sample();
    void *other = NULL;
    size_t n = 0;

    b.vcpus = 1;
    ck_assert_int_eq(flx_blob_build(&b, &other, &n, &err), FLIC_E_DAMAGED);
}
END_TEST

/* ---- the reference ---- */

static uint8_t reference[REFERENCE_SIZE];

static void make_reference(void)
{
    uint32_t version = 1, size = REFERENCE_SIZE;
    uint64_t sum;

    memset(reference, 0x5a, sizeof(reference));
    memcpy(reference, "FLICREF1", 8);
    memcpy(reference + 8, &version, 4);
    memcpy(reference + 12, &size, 4);
    sum = flic_checksum(reference, 88);
    memcpy(reference + 88, &sum, 8);
}

START_TEST(a_reference_survives_its_hex_form)
{
    char hex[REFERENCE_HEX];
    uint8_t back[REFERENCE_SIZE];

    make_reference();
    ck_assert_int_eq(reference_check(reference, &err), 0);
    reference_to_hex(reference, hex);
    ck_assert(reference_from_hex(hex, back));
    ck_assert_mem_eq(back, reference, REFERENCE_SIZE);
    hex[7] = 'g';
    ck_assert(!reference_from_hex(hex, back));
    hex[7] = '\0';
    ck_assert(!reference_from_hex(hex, back));
    ck_assert(!reference_from_hex(NULL, back));
}
END_TEST

START_TEST(any_flipped_bit_in_a_reference_is_found)
{
    make_reference();
    for (size_t i = 0; i < REFERENCE_SIZE * 8; i++) {
        reference[i / 8] ^= (uint8_t)(1u << (i % 8));
        ck_assert_int_ne(reference_check(reference, &err), 0);
        reference[i / 8] ^= (uint8_t)(1u << (i % 8));
    }
}
END_TEST

START_TEST(a_file_is_refused_when_one_bit_is_flipped_or_a_byte_is_missing)
{
    const char *json;
    size_t n, json_len;
    uint8_t *file;
    uint8_t back[REFERENCE_SIZE];

    make_reference();
    ck_assert_int_eq(reference_file_build(reference, "{\"c\":1}", (void **)&file, &n, &err), 0);
    ck_assert_int_eq(reference_file_parse(file, n, back, &json, &json_len, &err), 0);
    ck_assert_uint_eq(json_len, 7);
    ck_assert_mem_eq(json, "{\"c\":1}", 7);
    for (size_t i = 0; i < n * 8; i++) {
        file[i / 8] ^= (uint8_t)(1u << (i % 8));
        ck_assert_int_ne(reference_file_parse(file, n, back, &json, &json_len, &err), 0);
        file[i / 8] ^= (uint8_t)(1u << (i % 8));
    }
    for (size_t cut = 0; cut < n; cut++)
        ck_assert_int_ne(reference_file_parse(file, cut, back, &json, &json_len, &err), 0);
    free(file);
}
END_TEST

START_TEST(a_stock_image_is_called_foreign)
{
    uint8_t stock[256] = "Xen saved domain, xl format\n \0 \r";
    const char *json;
    size_t json_len;

    ck_assert_int_eq(reference_file_parse(stock, sizeof(stock), reference, &json, &json_len, &err), FLIC_E_FOREIGN);
}
END_TEST

static void does_not_fit(const char *arch, struct flx_blob_machine here, const char *then, const char *now)
{
    memset(&err, 0, sizeof(err));
    ck_assert_int_eq(flx_blob_fits(&blob, arch, &here, &err), FLIC_E_MISMATCH);
    ck_assert_msg(strstr(err.text, then) && strstr(err.text, now), "not both named: %s", err.text);
}

START_TEST(a_guest_of_another_architecture_gic_cpu_or_counter_frequency_is_refused_naming_both)
{
    const struct flx_blob_machine same = { .hw_gic = 3, .midr = 0x414fd0b1, .counter_hz = HZ }, unknown = { 0 };
    struct flx_blob_machine other;

    ck_assert_int_eq(flx_blob_parse(bytes, len, &blob, &err), 0);
    ck_assert_msg(!flx_blob_fits(&blob, "arm64", &same, &err), "%s", err.text);
    ck_assert_int_eq(flx_blob_fits(&blob, "arm64", &unknown, &err), 0);
    does_not_fit("x86_64", same, "arm64", "x86_64");
    other = same;
    other.hw_gic = 2;
    does_not_fit("arm64", other, "GICv3", "GICv2");
    other = same;
    other.midr = 0x411fd070;
    does_not_fit("arm64", other, "0x414fd0b1", "0x411fd070");
    other = same;
    other.counter_hz = 1000000000;
    does_not_fit("arm64", other, "62500000 Hz", "1000000000 Hz");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("blob");
    TCase *state = tcase_create("state"), *x86 = tcase_create("x86"), *ref = tcase_create("reference");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(state, set_up, tear_down);
    tcase_add_test(state, a_machine_state_comes_back_as_it_was);
    tcase_add_test(state, any_flipped_bit_is_found);
    tcase_add_test(state, any_cut_is_found);
    tcase_add_test(state, any_byte_changed_under_a_right_checksum_is_harmless);
    tcase_add_test(state, another_version_is_told_apart_from_damage);
    tcase_add_test(state, a_context_of_another_version_is_told_apart_from_damage);
    tcase_add_test(state, a_context_for_other_vcpus_is_damage);
    tcase_add_test(state, a_context_without_its_end_is_refused_when_written);
    tcase_add_test(state, a_guest_of_another_architecture_gic_cpu_or_counter_frequency_is_refused_naming_both);
    tcase_add_test(state, invariant_14_the_counter_moves_by_the_time_that_passed_and_never_back);
    tcase_add_checked_fixture(x86, set_up_x86, tear_down);
    tcase_add_test(x86, an_x86_machine_state_comes_back_as_it_was);
    tcase_add_test(x86, any_flipped_bit_is_found);
    tcase_add_test(x86, any_cut_is_found);
    tcase_add_test(x86, any_byte_changed_under_a_right_checksum_is_harmless);
    tcase_add_test(x86, an_x86_state_without_a_cpu_policy_is_damage);
    tcase_add_test(x86, a_vcpu_that_an_x86_guest_does_not_have_is_damage);
    tcase_add_test(x86, invariant_14_every_vcpu_of_an_x86_guest_has_its_counter_moved);
    tcase_add_test(ref, a_reference_survives_its_hex_form);
    tcase_add_test(ref, any_flipped_bit_in_a_reference_is_found);
    tcase_add_test(ref, a_file_is_refused_when_one_bit_is_flipped_or_a_byte_is_missing);
    tcase_add_test(ref, a_stock_image_is_called_foreign);
    tcase_set_timeout(state, 60);
    tcase_set_timeout(x86, 60);
    suite_add_tcase(suite, state);
    suite_add_tcase(suite, x86);
    suite_add_tcase(suite, ref);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
