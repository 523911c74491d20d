/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* flicd.conf. */
#include "tests/fuzz/fuzz.h"

#include "daemon/conf.h"

/* libconfig 1.5 loses the text that it was in the middle of when a file has an error in it; flicd reads its file once. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig.so";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct flic_err err = { 0 };
    static struct fd_conf conf;
    char path[128];
    int rc;

    fuzz_file("flicd.conf", data, len);
    (void)snprintf(path, sizeof(path), "%s/flicd.conf", fuzz_folder());
    fd_conf_defaults(&conf);
    rc = fd_conf_load(path, false, &conf, &err);
    FUZZ_ASSERT(!rc || err.text[0]);
    if (!rc)
        FUZZ_ASSERT(memchr(conf.nvram, 0, sizeof(conf.nvram)) && memchr(conf.socket, 0, sizeof(conf.socket)) && conf.workers > 0 &&
                    conf.nvram_size_mib >= 0 && memchr(conf.track, 0, sizeof(conf.track)));
    return 0;
}
