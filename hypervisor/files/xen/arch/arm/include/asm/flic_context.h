/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Saving and loading a domain's context: the domctl entry.
 *
 * Copyright (C) 2026 The FLIC authors
 */

#ifndef __ASM_ARM_FLIC_CONTEXT_H__
#define __ASM_ARM_FLIC_CONTEXT_H__

#include <xen/types.h>
#include <public/domctl.h>

struct domain;

/*
 * XEN_DOMCTL_gethvmcontext, _sethvmcontext, _gethvmcontext_partial; formats and errors: public/arch-arm/hvm/save.h.
 * Under the domctl lock. Copies back to u_op what the caller is to see, and makes the continuation, if any.
 */
long flic_context_domctl(struct xen_domctl *op, struct domain *d, XEN_GUEST_HANDLE_PARAM(xen_domctl_t) u_op);

#endif /* __ASM_ARM_FLIC_CONTEXT_H__ */
