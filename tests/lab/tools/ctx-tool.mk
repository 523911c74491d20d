# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The FLIC authors
#
# ctx-tool, for Dom0 on arm64. Included by the Makefile here, or alone:  make -f ctx-tool.mk OUT=DIR
CTX_HERE := $(dir $(lastword $(MAKEFILE_LIST)))
CTX_SOURCES := $(addprefix $(CTX_HERE)ctx-,tool.c selftest.c spoil.c target.c blob.c)

$(OUT)/ctx-tool: $(CTX_SOURCES) $(wildcard $(CTX_HERE)ctx-*.h)
	@mkdir -p $(OUT)
	$(CC) -D_GNU_SOURCE -D__XEN_TOOLS__ -I$(CTX_HERE)../../../hypervisor/files/xen/include $(CPPFLAGS) \
	    -std=gnu11 -Wall -Wextra -Werror $(CFLAGS) -o $@ $(CTX_SOURCES) $(LDFLAGS) -lxenctrl -lxencall
