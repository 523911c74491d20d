/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#define _GNU_SOURCE
#include "clocks.h"
#include "part.h"

#ifndef __aarch64__
#include <cpuid.h>
#endif
#include <sched.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define SAMPLE_NS INT64_C(20000000)

static _Atomic uint64_t errors;
static _Atomic int64_t gap_monotonic, gap_wall;

static int64_t read_clock(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

#ifdef __aarch64__
uint64_t clocks_counter(void)
{
    uint64_t v;

    /* The barrier keeps the read from being done early, between the other clocks. */
    __asm__ volatile("isb; mrs %0, cntvct_el0" : "=r"(v) : : "memory");
    return v;
}

static uint64_t frequency(void)
{
    uint64_t v;

    __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(v));
    return v;
}
#else
uint64_t clocks_counter(void)
{
    uint32_t low, high;

    __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

/* Xen tells it in the third sub-leaf of its time leaf, in kHz (xen/include/public/arch-x86/cpuid.h). 0 for a PV guest, which is not shown
 * that leaf here: its raw counter is the host's, or one that Xen gets wrong on a host that has run for less time than the guest. */
static uint64_t frequency(void)
{
    for (uint32_t base = 0x40000000; base < 0x40010000; base += 0x100) {
        uint32_t eax, ebx, ecx, edx;

        __cpuid(base, eax, ebx, ecx, edx);
        if (ebx == 0x566e6558 && ecx == 0x65584d4d && edx == 0x4d4d566e) {      /* "XenVMMXenVMM" */
            __cpuid_count(base + 3, 0, eax, ebx, ecx, edx);
            return ecx * UINT64_C(1000);
        }
    }
    return 0;
}
#endif

struct clocks clocks_now(void)
{
    return (struct clocks){ read_clock(CLOCK_REALTIME), read_clock(CLOCK_MONOTONIC), read_clock(CLOCK_BOOTTIME),
                            clocks_counter(), frequency() };
}

static void complain(const char *name, int64_t before, int64_t after)
{
    if (after >= before)
        return;
    errors++;
    printf("FLIC-GUEST-ERROR part=time %s went back from %lld to %lld\n", name, (long long)before, (long long)after);
    fflush(stdout);
}

static void keep_longest(_Atomic int64_t *gap, int64_t ns)
{
    if (ns > *gap)
        *gap = ns;
}

/* The thread moves on to another CPU with each sample: their counters must agree. */
static void *watch(void *arg)
{
    long cpus = sysconf(_SC_NPROCESSORS_CONF);
    struct clocks last = clocks_now(), now;

    for (unsigned n = 0;; n++, last = now) {
        cpu_set_t one;

        CPU_ZERO(&one);
        CPU_SET(n % (unsigned)cpus, &one);
        sched_setaffinity(0, sizeof(one), &one); /* fails for a CPU that is off line: stay here */
        sleep_ns(SAMPLE_NS);
        now = clocks_now();
        complain("CLOCK_MONOTONIC", last.monotonic, now.monotonic);
        complain("CLOCK_BOOTTIME", last.boot, now.boot);
        complain("CLOCK_REALTIME", last.wall, now.wall);
        if (now.frequency)
            complain("CNTVCT", (int64_t)last.counter, (int64_t)now.counter);
        keep_longest(&gap_monotonic, now.monotonic - last.monotonic);
        keep_longest(&gap_wall, now.wall - last.wall);
    }
    return arg;
}

void clocks_watch(void)
{
    pthread_t thread;

    pthread_create(&thread, NULL, watch, NULL);
    pthread_detach(thread);
}

uint64_t clocks_errors(void)
{
    return errors;
}

void clocks_gap(int64_t *ret_monotonic_ms, int64_t *ret_wall_ms)
{
    *ret_monotonic_ms = atomic_exchange(&gap_monotonic, 0) / 1000000;
    *ret_wall_ms = atomic_exchange(&gap_wall, 0) / 1000000;
}
