/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* How much a guest may run: the cap of Xen's credit schedulers. */
#include "libxl-ext/flx_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In xenstore, from before the cap is changed until it is what it was: that, in percent of one CPU, 0 for none. */
static const char cap_key[] = "flic/cap";

union sched {
    struct xen_domctl_sched_credit credit;
    struct xen_domctl_sched_credit2 credit2;
};

static int read_sched(struct flx_dom *dom, uint32_t id, union sched *ret_sched)
{
    return id == XEN_SCHEDULER_CREDIT2 ? xc_sched_credit2_domain_get(dom->xch, dom->domid, &ret_sched->credit2)
                                       : xc_sched_credit_domain_get(dom->xch, dom->domid, &ret_sched->credit);
}

static int write_sched(struct flx_dom *dom, uint32_t id, union sched *sched)
{
    return id == XEN_SCHEDULER_CREDIT2 ? xc_sched_credit2_domain_set(dom->xch, dom->domid, &sched->credit2)
                                       : xc_sched_credit_domain_set(dom->xch, dom->domid, &sched->credit);
}

static uint16_t *cap_of(uint32_t id, union sched *sched)
{
    return id == XEN_SCHEDULER_CREDIT2 ? &sched->credit2.cap : &sched->credit.cap;
}

/* Of the pool of CPUs that it is in: pools may have schedulers of their own. */
static int find_scheduler(struct flx_dom *dom, uint32_t *ret_id, struct flic_err *err)
{
    xc_domaininfo_t info;
    xc_cpupoolinfo_t *pool;
    uint32_t id;
    bool found;
    int rc = flx_read_info(dom, &info, err);

    if (rc)
        return rc;
    pool = xc_cpupool_getinfo(dom->xch, info.cpupool);
    found = pool && pool->cpupool_id == info.cpupool;
    id = found ? pool->sched_id : 0;
    if (pool)
        xc_cpupool_infofree(dom->xch, pool);
    if (!found)
        return flx_fail(err, dom->domid, "look at its pool of CPUs");
    *ret_id = id;
    return id == XEN_SCHEDULER_CREDIT2 || id == XEN_SCHEDULER_CREDIT
           ? 0 : flic_err_set(err, FLIC_E_REFUSED, "domain %u cannot be slowed down: its pool of CPUs has a scheduler that knows no cap (credit and "
                              "credit2 do)", dom->domid);
}

static int set_cap(struct flx_dom *dom, uint32_t id, union sched *sched, unsigned cap, struct flic_err *err)
{
    *cap_of(id, sched) = cap > UINT16_MAX ? UINT16_MAX : (uint16_t)cap;
    return write_sched(dom, id, sched) ? flx_fail(err, dom->domid, "set its scheduling") : 0;
}

/* *ret_cap: what it had before we changed it; false: we did not. */
static bool is_throttled(struct flx_dom *dom, uint16_t *ret_cap)
{
    char text[16], *end;
    unsigned long cap;

    if (flx_told(dom, cap_key, text, sizeof(text), NULL) || !text[0])
        return false;
    cap = strtoul(text, &end, 10);
    *ret_cap = *end || cap > UINT16_MAX ? 0 : (uint16_t)cap;
    return true;
}

static int remember_cap(struct flx_dom *dom, uint16_t cap, struct flic_err *err)
{
    char text[16];

    (void)snprintf(text, sizeof(text), "%u", (unsigned)cap);
    return flx_tell_guest(dom, cap_key, text, err);
}

/* *ret_sched: as it is now. */
static int look_at_scheduling(struct flx_dom *dom, uint32_t *ret_id, union sched *ret_sched, struct flic_err *err)
{
    int rc = find_scheduler(dom, ret_id, err);

    if (rc)
        return rc;
    memset(ret_sched, 0, sizeof(*ret_sched));
    return read_sched(dom, *ret_id, ret_sched) ? flx_fail(err, dom->domid, "read its scheduling") : 0;
}

int flx_throttle(struct flx_dom *dom, unsigned percent, struct flic_err *err)
{
    union sched sched;
    uint16_t before;
    uint32_t id;
    int rc = look_at_scheduling(dom, &id, &sched, err);

    if (!rc && !is_throttled(dom, &before)) {
        before = *cap_of(id, &sched);
        rc = remember_cap(dom, before, err);
    }
    if (rc)
        return rc;
    rc = set_cap(dom, id, &sched, before && before < percent ? before : percent, err);
    if (rc)
        (void)flx_throttle_end(dom, NULL);
    return rc;
}

int flx_throttle_end(struct flx_dom *dom, struct flic_err *err)
{
    union sched sched;
    uint16_t before;
    uint32_t id = 0;
    int rc;

    if (!is_throttled(dom, &before))
        return 0;
    rc = look_at_scheduling(dom, &id, &sched, err);
    if (!rc)
        rc = set_cap(dom, id, &sched, before, err);
    if (rc)
        return flic_err_wrap(err, rc, "domain %u stays slowed down, which 'xl sched-credit%s -d %u -c %u' ends", dom->domid,
                             id == XEN_SCHEDULER_CREDIT ? "" : "2", dom->domid, (unsigned)before);
    rc = flx_tell_guest(dom, cap_key, "", err);
    return rc ? flic_err_wrap(err, rc, "domain %u runs as fast as ever, but is still noted in xenstore as slowed down, at %s", dom->domid, cap_key) : 0;
}
