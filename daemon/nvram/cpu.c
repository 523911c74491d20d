/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/nvram/cpu.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>

static pthread_once_t chosen = PTHREAD_ONCE_INIT;
static size_t line = 64;

#if defined(__x86_64__)

#include <cpuid.h>
#include <emmintrin.h>

static enum { CLFLUSH, CLFLUSHOPT, CLWB } how;

static void choose(void)
{
    unsigned a, b, c, d;

    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return;
    if (b & bit_CLWB)
        how = CLWB;
    else if (b & bit_CLFLUSHOPT)
        how = CLFLUSHOPT;
}

bool nv_cpu_can_flush(void)
{
    return true;
}

const char *nv_cpu_flush_name(void)
{
    static const char *const names[] = { "clflush", "clflushopt", "clwb" };

    (void)pthread_once(&chosen, choose);    /* cannot fail with a static control */
    return names[how];
}

static inline void flush_line(volatile char *at)
{
    if (how == CLWB)
        __asm__ volatile("clwb %0" : "+m"(*at));
    else if (how == CLFLUSHOPT)
        __asm__ volatile("clflushopt %0" : "+m"(*at));
    else
        __asm__ volatile("clflush %0" : "+m"(*at));
}

void nv_cpu_fence(void)
{
    _mm_sfence();
}

void nv_cpu_stream(void *to, const void *from, size_t len)
{
    const __m128i *src = from;
    __m128i *dst = to;

    for (size_t i = 0; i < len / sizeof(*dst); i++)
        _mm_stream_si128(dst + i, _mm_loadu_si128(src + i));
}

#elif defined(__aarch64__)

#include <sys/auxv.h>

#ifndef HWCAP_DCPOP
#define HWCAP_DCPOP (1ul << 16)     /* Documentation/arch/arm64/elf_hwcaps.rst */
#endif

static bool to_persistence;

static void choose(void)
{
    uint64_t ctr;

    __asm__("mrs %0, ctr_el0" : "=r"(ctr));
    line = (size_t)4 << (ctr >> 16 & 15);   /* DminLine: log2 of words, Arm ARM D24 CTR_EL0 */
    to_persistence = (getauxval(AT_HWCAP) & HWCAP_DCPOP) != 0;
}

bool nv_cpu_can_flush(void)
{
    return true;
}

const char *nv_cpu_flush_name(void)
{
    (void)pthread_once(&chosen, choose);
    return to_persistence ? "dc cvap" : "dc cvac";
}

static inline void flush_line(volatile char *at)
{
    if (to_persistence)     /* by its system instruction encoding: assemblers want an architecture flag for the name */
        __asm__ volatile("sys #3, c7, c12, #1, %0" : : "r"(at) : "memory");
    else
        __asm__ volatile("dc cvac, %0" : : "r"(at) : "memory");
}

void nv_cpu_fence(void)
{
    __asm__ volatile("dsb sy" : : : "memory");
}

/* Arm has a hint for data that will not be read soon, not a store past the cache: so each line is cleaned as soon as
 * it is whole. */
void nv_cpu_stream(void *to, const void *from, size_t len)
{
    const char *src = from;
    char *dst = to;

    for (; len; len -= 64, src += 64, dst += 64)
        __asm__ volatile("ldp q0, q1, [%1]\n\t"
                         "ldp q2, q3, [%1, #32]\n\t"
                         "stnp q0, q1, [%0]\n\t"
                         "stnp q2, q3, [%0, #32]"
                         : : "r"(dst), "r"(src) : "v0", "v1", "v2", "v3", "memory");
    nv_cpu_flush(to, (size_t)(dst - (char *)to));
}

#else

static void choose(void)
{
}

bool nv_cpu_can_flush(void)
{
    return false;
}

const char *nv_cpu_flush_name(void)
{
    return "none";
}

static inline void flush_line(volatile char *at)
{
    (void)at;
}

void nv_cpu_fence(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void nv_cpu_stream(void *to, const void *from, size_t len)
{
    memcpy(to, from, len);
}

#endif

void nv_cpu_flush(const void *at, size_t len)
{
    uintptr_t end = (uintptr_t)at + len;

    (void)pthread_once(&chosen, choose);
    for (uintptr_t p = (uintptr_t)at & ~(uintptr_t)(line - 1); p < end; p += line)
        flush_line((volatile char *)p);
}
